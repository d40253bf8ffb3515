#!/bin/sh
# Assign the roles that ingest needs on existing services. Safe to run again.
#
#   RESOURCE_GROUP=rg scripts/assign-roles.sh                   to the identity signed in to `az`
#   RESOURCE_GROUP=rg PRINCIPAL_ID=… scripts/assign-roles.sh    to this user, group or identity
#
#   --create-index   also assign the role to create the index; always done for the signed-in identity
#   --dry-run        print the commands that assign roles, and run none of them
#
# SUBSCRIPTION_ID: the subscription; by default that of `az`. OPENAI_NAME, SEARCH_NAME, STORAGE_NAME:
# required if the resource group has more than one such service. OCR_NAME: the Document Intelligence
# account, to read scanned pages; OPENAI_NAME is then required too.
set -eu
export MSYS_NO_PATHCONV=1 # Git Bash would convert ids, which begin with a slash, as paths

dry='' create_index=''
for argument; do
    case $argument in
        --dry-run) dry=yes ;;
        --create-index) create_index=yes ;;
        *) echo "assign-roles: $argument: expected --dry-run or --create-index" >&2; exit 2 ;;
    esac
done
command -v az >/dev/null || { echo "assign-roles: the Azure CLI, az, is not installed" >&2; exit 2; }
[ -n "${RESOURCE_GROUP:-}" ] || { echo "assign-roles: set RESOURCE_GROUP to the resource group of the services" >&2; exit 2; }
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

# resource TYPE NAME LABEL VARIABLE: print the id of the resource of that type; nothing if none.
resource() {
    found=$(az resource list --subscription "$subscription" --resource-group "$RESOURCE_GROUP" \
        --resource-type "$1" --query "[?'$2'=='' || name=='$2'].id" -o tsv)
    if [ "$(printf %s "$found" | grep -c .)" -gt 1 ]; then
        echo "assign-roles: $RESOURCE_GROUP has more than one $3: name it with $4" >&2
        exit 2
    fi
    printf %s "$found"
}

# grant ROLE ID SCOPE
grant() {
    there=$(az role assignment list --assignee "$principal" --role "$2" --scope "$3" \
        --query "[].id" -o tsv)
    if [ -n "$there" ]; then
        echo "there:   $1 on $3"
        return
    fi
    set -- "$1" az role assignment create --role "$2" --scope "$3" \
        --assignee-object-id "$principal" --assignee-principal-type "$kind"
    if [ -n "$dry" ]; then
        shift
        echo "$*"
    else
        echo "granted: $1 on $7"
        shift
        "$@" --output none
    fi
}

openai=$(resource Microsoft.CognitiveServices/accounts "${OPENAI_NAME:-}" "OpenAI account" OPENAI_NAME)
search=$(resource Microsoft.Search/searchServices "${SEARCH_NAME:-}" "search service" SEARCH_NAME)
storage=$(resource Microsoft.Storage/storageAccounts "${STORAGE_NAME:-}" "storage account" STORAGE_NAME)
ocr=''
if [ -n "${OCR_NAME:-}" ]; then
    ocr=$(resource Microsoft.CognitiveServices/accounts "$OCR_NAME" "account" OCR_NAME)
fi
if [ -z "$openai$search$storage$ocr" ]; then
    echo "assign-roles: $RESOURCE_GROUP has none of the services: check RESOURCE_GROUP" >&2
    exit 2
fi

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
