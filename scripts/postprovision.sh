#!/bin/sh
# azd hook that creates and fills the index after provisioning. Safe to run again:
# `azd hooks run postprovision`. After a deployment azd passes the argument "deployed".
#
#   --dry-run, --what-if   print the command that fills the index, and do not run it
#   --help                 print this text
#
# INGEST_POSTPROVISION (set it with `azd env set`)
#   a folder   ingest this folder, or NAME=FOLDER; by default samples=data/
#   job        start the job instead, because only it can reach the services; the default if
#              INFRA_PRIVATE_ENDPOINTS is true
#   skip       fill nothing
# INGEST_POSTPROVISION_FAILURE
#   warn       report a transient failure, and let azd continue; the default
#   fail       stop azd at a transient failure
#
# Wrong settings (exit code 2) always stop azd, with the remedy.
set -eu

say() { echo "postprovision: $*" >&2; }

moment=provisioned dry=''
for argument; do
    case $argument in
        provisioned | deployed) moment=$argument ;;
        --dry-run | --what-if) dry=yes ;;
        --help | -h | '-?') sed -n -e 1d -e '/^#/!q' -e 's/^# \{0,1\}//p' "$0"; exit ;;
        *) say "$argument: expected provisioned, deployed, --dry-run, --what-if or --help"; exit 2 ;;
    esac
done
cd -- "$(dirname -- "$0")/.."

# transient MESSAGE: report a failure that goes away without a change of settings.
transient() {
    say "$1; continue with: azd hooks run postprovision"
    [ "${INGEST_POSTPROVISION_FAILURE:-warn}" = warn ]
}

# The job that blob events start is not the one that azd deploys to.
update_event_job() {
    if [ -z "${AZURE_CONTAINER_EVENT_JOB_NAME:-}" ]; then
        return
    fi
    if ! command -v az >/dev/null; then
        say "the Azure CLI, az, is not installed; azd provision gives the job of blob events the new image"
        return
    fi
    set -- --name "$AZURE_CONTAINER_EVENT_JOB_NAME" --resource-group "${AZURE_RESOURCE_GROUP:-}"
    if [ -n "${AZURE_SUBSCRIPTION_ID:-}" ]; then set -- "$@" --subscription "$AZURE_SUBSCRIPTION_ID"; fi
    set -- az containerapp job update "$@" --image "${SERVICE_INGEST_IMAGE_NAME:-}"
    if [ -n "$dry" ]; then
        echo "$*"
    elif ! "$@" --output none; then
        transient "the job of blob events did not get the new image; azd provision gives it"
    fi
}

start_job() {
    if [ -z "${AZURE_CONTAINER_JOB_NAME:-}" ]; then
        say "there is no job to start: INFRA_HOST is not job; run ingest on the host"
        return
    fi
    if [ "$moment" = provisioned ] && [ -z "${SERVICE_INGEST_IMAGE_NAME:-}" ]; then
        say "the job has no image yet; azd deploy gives it one and starts it"
        return
    fi
    if ! command -v az >/dev/null; then
        say "the Azure CLI, az, is not installed; the job starts on its schedule"
        return
    fi
    set -- --name "$AZURE_CONTAINER_JOB_NAME" --resource-group "${AZURE_RESOURCE_GROUP:-}"
    if [ -n "${AZURE_SUBSCRIPTION_ID:-}" ]; then set -- "$@" --subscription "$AZURE_SUBSCRIPTION_ID"; fi
    if ! running=$(az containerapp job execution list "$@" \
        --query "length([?properties.status=='Running'])" --output tsv); then
        transient "the state of the job could not be queried"
    elif [ "$running" != 0 ]; then
        say "the job is running already"
    elif [ -n "$dry" ]; then
        echo "az containerapp job start $*"
    elif ! az containerapp job start "$@" --output none; then
        transient "the job could not be started"
    else
        say "the job was started; its runs: az containerapp job execution list $* --output table"
    fi
}

fill_from_here() {
    if [ -n "$dry" ]; then
        echo "scripts/ingest run $what --wait-for-roles 10m"
        return
    fi
    code=0
    # Clear INGEST_INDEX and INGEST_EMBEDDER, so that the user's own settings cannot send the samples
    # to another index. Log as text: people read the output of azd, although it is not a terminal.
    INGEST_INDEX='' INGEST_EMBEDDER='' INGEST_LOG=text scripts/ingest run "$what" --wait-for-roles 10m || code=$?
    case $code in
        0) ;;
        3) say "the index is filled, except for the documents named above" ;;
        1) transient "a service failed, see above; completed work is kept" ;;
        11) transient "another run holds the index" ;;
        *) exit "$code" ;;
    esac
}

default=samples=data/
if [ "${INFRA_PRIVATE_ENDPOINTS:-false}" = true ]; then default=job; fi
what=${INGEST_POSTPROVISION:-$default}

case ${INGEST_POSTPROVISION_FAILURE:-warn} in
    warn | fail) ;;
    *) say "INGEST_POSTPROVISION_FAILURE=$INGEST_POSTPROVISION_FAILURE: expected warn or fail"; exit 2 ;;
esac
if [ "$moment" = deployed ]; then update_event_job; fi
case $what in
    skip) say "INGEST_POSTPROVISION=skip: nothing done" ;;
    job) start_job ;;
    *)
        if [ "$moment" = deployed ]; then exit; fi
        if [ -z "${AZURE_OPENAI_ENDPOINT:-}" ] || [ -z "${AZURE_SEARCH_ENDPOINT:-}" ]; then
            say "AZURE_OPENAI_ENDPOINT and AZURE_SEARCH_ENDPOINT are not both set; azd sets them: azd hooks run postprovision"
            exit 2
        fi
        fill_from_here
        ;;
esac
