<#
.SYNOPSIS
Assign the roles that ingest needs on existing services. Safe to run again.

.DESCRIPTION
PowerShell version of assign-roles.sh, with the same variables: RESOURCE_GROUP, and optionally
PRINCIPAL_ID, SUBSCRIPTION_ID, OPENAI_NAME, SEARCH_NAME, STORAGE_NAME and OCR_NAME.

.PARAMETER DryRun
Print the commands that assign roles, and run none of them.

.PARAMETER CreateIndex
Also assign the role to create the index; always done for the signed-in identity.
#>
param([switch]$DryRun, [switch]$CreateIndex)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function Stop-With([string]$message) {
    [Console]::Error.WriteLine("assign-roles: $message")
    exit 2
}

# Output of az; if az fails, the script exits with its code.
function Get-Answer([string[]]$arguments) {
    $answer = & az @arguments
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    return $answer
}

function Test-Found([string[]]$arguments) {
    & az @arguments 2>$null | Out-Null
    return $LASTEXITCODE -eq 0
}

if (-not (Get-Command az -ErrorAction SilentlyContinue)) { Stop-With 'the Azure CLI, az, is not installed' }
if (-not $env:RESOURCE_GROUP) { Stop-With 'set RESOURCE_GROUP to the resource group of the services' }
$subscription = $env:SUBSCRIPTION_ID
if (-not $subscription) { $subscription = Get-Answer @('account', 'show', '--query', 'id', '-o', 'tsv') }

# The principal and its type. With a wrong type, a new identity is "not found".
$principal = $env:PRINCIPAL_ID
if (-not $principal) {
    $CreateIndex = $true
    if ((Get-Answer @('account', 'show', '--query', 'user.type', '-o', 'tsv')) -eq 'servicePrincipal') {
        $application = Get-Answer @('account', 'show', '--query', 'user.name', '-o', 'tsv')
        $principal = Get-Answer @('ad', 'sp', 'show', '--id', $application, '--query', 'id', '-o', 'tsv')
        $kind = 'ServicePrincipal'
    }
    else {
        $principal = Get-Answer @('ad', 'signed-in-user', 'show', '--query', 'id', '-o', 'tsv')
        $kind = 'User'
    }
}
elseif (Test-Found @('ad', 'user', 'show', '--id', $principal)) { $kind = 'User' }
elseif (Test-Found @('ad', 'group', 'show', '--group', $principal)) { $kind = 'Group' }
else { $kind = 'ServicePrincipal' }

# Id of the resource of that type; empty if there is none.
function Get-Resource([string]$type, [string]$name, [string]$what, [string]$variable) {
    $query = "[?'$name'=='' || name=='$name'].id"
    $found = @(Get-Answer @('resource', 'list', '--subscription', $subscription, '--resource-group', $env:RESOURCE_GROUP,
            '--resource-type', $type, '--query', $query, '-o', 'tsv') | Where-Object { $_ })
    if ($found.Count -gt 1) { Stop-With "$($env:RESOURCE_GROUP) has more than one ${what}: name it with $variable" }
    if ($found.Count -eq 1) { return $found[0] }
    return ''
}

function Grant-Role([string]$role, [string]$id, [string]$scope) {
    $there = Get-Answer @('role', 'assignment', 'list', '--assignee', $principal, '--role', $id, '--scope', $scope,
        '--query', '[].id', '-o', 'tsv')
    if ($there) {
        Write-Output "there:   $role on $scope"
        return
    }
    $create = @('role', 'assignment', 'create', '--role', $id, '--scope', $scope,
        '--assignee-object-id', $principal, '--assignee-principal-type', $kind)
    if ($DryRun) {
        Write-Output "az $($create -join ' ')"
    }
    else {
        Write-Output "granted: $role on $scope"
        Get-Answer ($create + @('--output', 'none')) | Out-Null
    }
}

$openai = Get-Resource 'Microsoft.CognitiveServices/accounts' $env:OPENAI_NAME 'OpenAI account' 'OPENAI_NAME'
$search = Get-Resource 'Microsoft.Search/searchServices' $env:SEARCH_NAME 'search service' 'SEARCH_NAME'
$storage = Get-Resource 'Microsoft.Storage/storageAccounts' $env:STORAGE_NAME 'storage account' 'STORAGE_NAME'
$ocr = ''
if ($env:OCR_NAME) { $ocr = Get-Resource 'Microsoft.CognitiveServices/accounts' $env:OCR_NAME 'account' 'OCR_NAME' }
if (-not ($openai -or $search -or $storage -or $ocr)) {
    Stop-With "$($env:RESOURCE_GROUP) has none of the services: check RESOURCE_GROUP"
}

if ($openai) { Grant-Role 'Cognitive Services OpenAI User' '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd' $openai }
if ($ocr) { Grant-Role 'Cognitive Services User' 'a97b65f3-24c7-4388-baec-2e87135dc908' $ocr }
if ($search) { Grant-Role 'Search Index Data Contributor' '8ebe5a00-799e-43f5-93ac-243d3dce84a7' $search }
if ($search -and $CreateIndex) { Grant-Role 'Search Service Contributor' '7ca78c08-252a-4471-8644-bb5ff32d4ba0' $search }
if ($storage) { Grant-Role 'Storage Blob Data Reader' '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' $storage }
if (-not $DryRun) { Write-Output 'A new role assignment takes effect within five to ten minutes: ingest run --wait-for-roles 10m' }
