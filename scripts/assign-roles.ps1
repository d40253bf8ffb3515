<#
.SYNOPSIS
Assign the roles that ingest needs on existing services. Safe to run again.

.DESCRIPTION
PowerShell version of assign-roles.sh, with the same variables: RESOURCE_GROUP, and optionally
PRINCIPAL_ID (a user, group or identity; by default the identity signed in to az), SUBSCRIPTION_ID,
OPENAI_NAME, SEARCH_NAME, STORAGE_NAME and OCR_NAME. The options of assign-roles.sh work too.
-Confirm asks before each role.

.PARAMETER DryRun
Print the commands that assign roles, and run none of them. -WhatIf does the same.

.PARAMETER CreateIndex
Also assign the role to create the index; always done for the signed-in identity.

.PARAMETER Help
Print this text.
#>
[CmdletBinding(SupportsShouldProcess, PositionalBinding = $false)]
param(
    [switch]$DryRun,
    [switch]$CreateIndex,
    [switch]$Help,
    # Everything else, such as a misspelt option: it must end the script, not be ignored.
    [Parameter(ValueFromRemainingArguments, DontShow)][string[]]$Rest
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false # exit codes are checked one by one

function Stop-With([string]$message, [int]$code = 2) {
    [Console]::Error.WriteLine("assign-roles: $message")
    exit $code
}

# Output of az; if az fails, the script exits with its code.
function Get-Answer([string[]]$arguments) {
    $answer = & az @arguments
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    return $answer
}

function Test-Found([string[]]$arguments) {
    $ErrorActionPreference = 'Continue' # Windows PowerShell takes redirected errors for its own
    & az @arguments 2>$null | Out-Null
    return $LASTEXITCODE -eq 0
}

if ($WhatIfPreference) { $DryRun = $true }
foreach ($word in $Rest) {
    if ($word -in '--dry-run', '--what-if') { $DryRun = $true }
    elseif ($word -eq '--create-index') { $CreateIndex = $true }
    elseif ($word -eq '--help') { $Help = $true }
    else { Stop-With "${word}: expected -DryRun, -WhatIf, -Confirm, -CreateIndex or -Help" }
}
if ($Help) {
    Get-Help $PSCommandPath -Detailed
    exit 0
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

# Id of the resource of that type and of one of these kinds; empty if there is none and none was named.
function Get-Resource([string]$type, [string]$name, [string]$label, [string]$variable, [string[]]$kinds = @()) {
    $query = "('$name'=='' || name=='$name')"
    if ($kinds) { $query += " && ($(($kinds | ForEach-Object { "kind=='$_'" }) -join ' || '))" }
    $found = @(Get-Answer @('resource', 'list', '--subscription', $subscription, '--resource-group', $env:RESOURCE_GROUP,
            '--resource-type', $type, '--query', "[?$query].id", '-o', 'tsv') | Where-Object { $_ })
    if ($found.Count -gt 1) { Stop-With "$($env:RESOURCE_GROUP) has more than one ${label}: name it with $variable" }
    if ($found.Count -eq 1) { return $found[0] }
    if ($name) { Stop-With "$($env:RESOURCE_GROUP) has no $label named ${name}: check $variable" }
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
        return
    }
    if (-not $PSCmdlet.ShouldProcess($scope, "assign $role")) { return }
    & az @create --output none
    if ($LASTEXITCODE -ne 0) {
        Stop-With "$role on $scope was not granted, see above; an Owner, User Access Administrator or Role Based Access Control Administrator of it may grant it: -DryRun prints the commands" $LASTEXITCODE
    }
    Write-Output "granted: $role on $scope"
}

$openai = Get-Resource 'Microsoft.CognitiveServices/accounts' $env:OPENAI_NAME 'OpenAI account' 'OPENAI_NAME' @('OpenAI', 'AIServices')
$search = Get-Resource 'Microsoft.Search/searchServices' $env:SEARCH_NAME 'search service' 'SEARCH_NAME'
$storage = Get-Resource 'Microsoft.Storage/storageAccounts' $env:STORAGE_NAME 'storage account' 'STORAGE_NAME'
$ocr = ''
if ($env:OCR_NAME) {
    $ocr = Get-Resource 'Microsoft.CognitiveServices/accounts' $env:OCR_NAME 'Document Intelligence account' 'OCR_NAME' @('FormRecognizer', 'AIServices')
}
if (-not ($openai -or $search -or $storage -or $ocr)) {
    Stop-With "$($env:RESOURCE_GROUP) has none of the services: check RESOURCE_GROUP"
}

if ($openai) { Grant-Role 'Cognitive Services OpenAI User' '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd' $openai }
if ($ocr) { Grant-Role 'Cognitive Services User' 'a97b65f3-24c7-4388-baec-2e87135dc908' $ocr }
if ($search) { Grant-Role 'Search Index Data Contributor' '8ebe5a00-799e-43f5-93ac-243d3dce84a7' $search }
if ($search -and $CreateIndex) { Grant-Role 'Search Service Contributor' '7ca78c08-252a-4471-8644-bb5ff32d4ba0' $search }
if ($storage) { Grant-Role 'Storage Blob Data Reader' '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' $storage }
if (-not $DryRun) { Write-Output 'A new role assignment takes effect within five to ten minutes: ingest run --wait-for-roles 10m' }
