#!/bin/sh
# Assign the roles that ingest needs on existing services. Safe to run again.
#
#   RESOURCE_GROUP=rg scripts/assign-roles.sh                   to the identity signed in to `az`
#   RESOURCE_GROUP=rg PRINCIPAL_ID=… scripts/assign-roles.sh    to this user, group or identity
#
#   --create-index         also assign the role to create the index; always done for the signed-in
#                          identity
#   --dry-run, --what-if   print the commands that assign roles, and run none of them
#   --help                 print this text
#
# SUBSCRIPTION_ID: the subscription; by default that of `az`. OPENAI_NAME, SEARCH_NAME, STORAGE_NAME:
# required if the resource group has more than one such service. OCR_NAME: the Document Intelligence
# account, to read scanned pages; without it, no role for that is assigned.
set -eu
export MSYS_NO_PATHCONV=1 # Git Bash would convert ids, which begin with a slash, as paths

fail() { echo "assign-roles: $*" >&2; exit 2; }

dry='' create_index=''
for argument; do
    case $argument in
        --dry-run | --what-if) dry=yes ;;
        --create-index) create_index=yes ;;
        --help | -h | '-?') sed -n -e 1d -e '/^#/!q' -e 's/^# \{0,1\}//p' "$0"; exit ;;
        *) fail "$argument: expected --dry-run, --what-if, --create-index or --help" ;;
    esac
done
command -v az >/dev/null || fail "the Azure CLI, az, is not installed"
[ -n "${RESOURCE_GROUP:-}" ] || fail "set RESOURCE_GROUP to the resource group of the services"
subscription=${SUBSCRIPTION_ID:-$(az account show --query id -o tsv)}

# The principal and its type. With a wrong type, a new identity is "not found".
principal=${PRINCIPAL_ID:-}
if [ -z "$principal" ]; then
    create_index=yes
    if [ "$(az account show --query user.type -o tsv)" = servicePrincipal ]; then
        application=$(az account show --query user.name -o tsv)
        principal=$(az ad sp show --id "$application" --query id -o tsv)
        kind=ServicePrincipal
    else
        principal=$(az ad signed-in-user show --query id -o tsv)
        kind=User
    fi
elif az ad user show --id "$principal" >/dev/null 2>&1; then
    kind=User
elif az ad group show --group "$principal" >/dev/null 2>&1; then
    kind=Group
else
    kind=ServicePrincipal
fi

# resource TYPE NAME LABEL VARIABLE [KIND...]: print the id of the resource of that type and of one of
# these kinds; nothing if there is none and none was named.
resource() {
    type=$1 name=$2 label=$3 variable=$4 kinds=''
    shift 4
    for each; do kinds="${kinds:+$kinds || }kind=='$each'"; done
    found=$(az resource list --subscription "$subscription" --resource-group "$RESOURCE_GROUP" \
        --resource-type "$type" --query "[?('$name'=='' || name=='$name')${kinds:+ && ($kinds)}].id" -o tsv)
    if [ "$(printf %s "$found" | grep -c .)" -gt 1 ]; then
        fail "$RESOURCE_GROUP has more than one $label: name it with $variable"
    fi
    [ -n "$found$name" ] || return 0
    [ -n "$found" ] || fail "$RESOURCE_GROUP has no $label named $name: check $variable"
    printf %s "$found"
}

# grant ROLE ID SCOPE
grant() {
    role=$1 scope=$3
    there=$(az role assignment list --assignee "$principal" --role "$2" --scope "$scope" \
        --query "[].id" -o tsv)
    if [ -n "$there" ]; then
        echo "there:   $role on $scope"
        return
    fi
    set -- az role assignment create --role "$2" --scope "$scope" \
        --assignee-object-id "$principal" --assignee-principal-type "$kind"
    if [ -n "$dry" ]; then
        echo "$*"
        return
    fi
    "$@" --output none || {
        code=$?
        echo "assign-roles: $role on $scope was not granted, see above; an Owner, User Access Administrator or Role Based Access Control Administrator of it may grant it: --dry-run prints the commands" >&2
        exit "$code"
    }
    echo "granted: $role on $scope"
}

openai=$(resource Microsoft.CognitiveServices/accounts "${OPENAI_NAME:-}" "OpenAI account" OPENAI_NAME OpenAI AIServices)
search=$(resource Microsoft.Search/searchServices "${SEARCH_NAME:-}" "search service" SEARCH_NAME)
storage=$(resource Microsoft.Storage/storageAccounts "${STORAGE_NAME:-}" "storage account" STORAGE_NAME)
ocr=''
if [ -n "${OCR_NAME:-}" ]; then
    ocr=$(resource Microsoft.CognitiveServices/accounts "$OCR_NAME" "Document Intelligence account" OCR_NAME FormRecognizer AIServices)
fi
[ -n "$openai$search$storage$ocr" ] || fail "$RESOURCE_GROUP has none of the services: check RESOURCE_GROUP"

if [ -n "$openai" ]; then
    grant "Cognitive Services OpenAI User" 5e0bd9bd-7b93-4f28-af87-19fc36ad61bd "$openai"
fi
if [ -n "$ocr" ]; then
    grant "Cognitive Services User" a97b65f3-24c7-4388-baec-2e87135dc908 "$ocr"
fi
if [ -n "$search" ]; then
    grant "Search Index Data Contributor" 8ebe5a00-799e-43f5-93ac-243d3dce84a7 "$search"
fi
if [ -n "$search" ] && [ -n "$create_index" ]; then
    grant "Search Service Contributor" 7ca78c08-252a-4471-8644-bb5ff32d4ba0 "$search"
fi
if [ -n "$storage" ]; then
    grant "Storage Blob Data Reader" 2a2b9908-6ea1-4ae2-8e65-a410df84e7d1 "$storage"
fi
[ -n "$dry" ] || echo "A new role assignment takes effect within five to ten minutes: ingest run --wait-for-roles 10m"
