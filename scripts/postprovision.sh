#!/bin/sh
# What azd runs once the services are there: create the index, and fill it. Safe to run again:
# `azd hooks run postprovision`. After a deployment azd calls it with the word "deployed".
#
# INGEST_POSTPROVISION (set it by `azd env set`)
#   a folder   ingest that; unset: data/, the samples
#   job        start the job instead, because only it can reach the services; the default where
#              INFRA_PRIVATE_ENDPOINTS is true
#   skip       do nothing
# INGEST_POSTPROVISION_FAILURE
#   warn       what passes by itself is said, and azd goes on; the default
#   fail       it ends azd
#
# What only a person can put right (exit code 2) always ends azd, with the remedy.
set -eu
cd -- "$(dirname -- "$0")/.."

say() { echo "postprovision: $*" >&2; }

# passing WHAT: a failure that nobody here can mend.
passing() {
    say "$1; go on with: azd hooks run postprovision"
    [ "${INGEST_POSTPROVISION_FAILURE:-warn}" = warn ]
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
        say "the Azure CLI, az, is not installed; the job starts by its schedule"
        return
    fi
    set -- --name "$AZURE_CONTAINER_JOB_NAME" --resource-group "${AZURE_RESOURCE_GROUP:-}"
    if [ -n "${AZURE_SUBSCRIPTION_ID:-}" ]; then set -- "$@" --subscription "$AZURE_SUBSCRIPTION_ID"; fi
    if ! running=$(az containerapp job execution list "$@" \
        --query "length([?properties.status=='Running'])" --output tsv); then
        passing "the job could not be asked whether it runs"
    elif [ "$running" != 0 ]; then
        say "the job is running already"
    elif ! az containerapp job start "$@" --output none; then
        passing "the job could not be started"
    else
        say "the job was started; its runs: az containerapp job execution list $* --output table"
    fi
}

fill_from_here() {
    code=0
    # Empty is unset: no setting of the user's own may lead the samples to another index. A person
    # reads this, though azd is no terminal.
    INGEST_INDEX='' INGEST_EMBEDDER='' INGEST_LOG=text scripts/ingest run "$what" --wait-for-roles 10m || code=$?
    case $code in
        0) ;;
        3) say "the index is filled, but for the documents named above" ;;
        1) passing "a service failed, see above; what was done is kept" ;;
        11) passing "another run holds the index" ;;
        *) exit "$code" ;;
    esac
}

moment=${1:-provisioned}
default=data/
if [ "${INFRA_PRIVATE_ENDPOINTS:-false}" = true ]; then default=job; fi
what=${INGEST_POSTPROVISION:-$default}

case ${INGEST_POSTPROVISION_FAILURE:-warn} in
    warn | fail) ;;
    *) say "INGEST_POSTPROVISION_FAILURE=$INGEST_POSTPROVISION_FAILURE: expected warn or fail"; exit 2 ;;
esac
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
