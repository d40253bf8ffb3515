<#
.SYNOPSIS
azd hook on Windows that creates and fills the index after provisioning.

.DESCRIPTION
PowerShell version of postprovision.sh, with the same variables: INGEST_POSTPROVISION (a folder, job
or skip) and INGEST_POSTPROVISION_FAILURE (warn or fail). Safe to run again: azd hooks run
postprovision. After a deployment azd passes the argument "deployed". The options of postprovision.sh
work too. -Confirm asks before the index is filled or the job is started.

.PARAMETER DryRun
Print the command that fills the index, and do not run it. -WhatIf does the same.

.PARAMETER Help
Print this text.
#>
[CmdletBinding(SupportsShouldProcess, PositionalBinding = $false)]
param(
    [switch]$DryRun,
    [switch]$Help,
    # The moment, and everything else: a misspelt option must end the script, not be ignored.
    [Parameter(ValueFromRemainingArguments, DontShow)][string[]]$Rest
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false # exit codes are checked one by one

function Write-Word([string]$text) { [Console]::Error.WriteLine("postprovision: $text") }

$moment = 'provisioned'
if ($WhatIfPreference) { $DryRun = $true }
foreach ($word in $Rest) {
    if ($word -in 'provisioned', 'deployed') { $moment = $word }
    elseif ($word -in '--dry-run', '--what-if') { $DryRun = $true }
    elseif ($word -eq '--help') { $Help = $true }
    else {
        Write-Word "${word}: expected provisioned, deployed, -DryRun, -WhatIf, -Confirm or -Help"
        exit 2
    }
}
if ($Help) {
    Get-Help $PSCommandPath -Detailed
    exit 0
}
Set-Location (Join-Path $PSScriptRoot '..')

# Report a failure that goes away without a change of settings.
function Write-Transient([string]$text) {
    Write-Word "$text; continue with: azd hooks run postprovision"
    if ($env:INGEST_POSTPROVISION_FAILURE -eq 'fail') { exit 1 }
}

# The job that blob events start is not the one that azd deploys to.
function Update-Event-Job {
    if (-not $env:AZURE_CONTAINER_EVENT_JOB_NAME) { return }
    if (-not (Get-Command az -ErrorAction SilentlyContinue)) {
        Write-Word 'the Azure CLI, az, is not installed; azd provision gives the job of blob events the new image'
        return
    }
    $update = @('containerapp', 'job', 'update', '--name', $env:AZURE_CONTAINER_EVENT_JOB_NAME, '--resource-group', $env:AZURE_RESOURCE_GROUP)
    if ($env:AZURE_SUBSCRIPTION_ID) { $update += @('--subscription', $env:AZURE_SUBSCRIPTION_ID) }
    $update += @('--image', $env:SERVICE_INGEST_IMAGE_NAME)
    if ($DryRun) {
        Write-Output "az $($update -join ' ')"
        return
    }
    if (-not $PSCmdlet.ShouldProcess($env:AZURE_CONTAINER_EVENT_JOB_NAME, 'update the image')) { return }
    & az @update --output none
    if ($LASTEXITCODE -ne 0) { Write-Transient 'the job of blob events did not get the new image; azd provision gives it' }
}

function Start-Job-Of-Azure {
    if (-not $env:AZURE_CONTAINER_JOB_NAME) {
        Write-Word 'there is no job to start: INFRA_HOST is not job; run ingest on the host'
        return
    }
    if ($moment -eq 'provisioned' -and -not $env:SERVICE_INGEST_IMAGE_NAME) {
        Write-Word 'the job has no image yet; azd deploy gives it one and starts it'
        return
    }
    if (-not (Get-Command az -ErrorAction SilentlyContinue)) {
        Write-Word 'the Azure CLI, az, is not installed; the job starts on its schedule'
        return
    }
    $job = @('--name', $env:AZURE_CONTAINER_JOB_NAME, '--resource-group', $env:AZURE_RESOURCE_GROUP)
    if ($env:AZURE_SUBSCRIPTION_ID) { $job += @('--subscription', $env:AZURE_SUBSCRIPTION_ID) }
    $running = & az containerapp job execution list @job --query "length([?properties.status=='Running'])" --output tsv
    if ($LASTEXITCODE -ne 0) {
        Write-Transient 'the state of the job could not be queried'
        return
    }
    if ($running -ne '0') {
        Write-Word 'the job is running already'
        return
    }
    if ($DryRun) {
        Write-Output "az containerapp job start $($job -join ' ')"
        return
    }
    if (-not $PSCmdlet.ShouldProcess($env:AZURE_CONTAINER_JOB_NAME, 'start the job')) { return }
    & az containerapp job start @job --output none
    if ($LASTEXITCODE -ne 0) {
        Write-Transient 'the job could not be started'
        return
    }
    Write-Word "the job was started; its runs: az containerapp job execution list $($job -join ' ') --output table"
}

function Invoke-Run([string]$what) {
    if ($DryRun) {
        Write-Output "scripts/ingest.ps1 run $what --wait-for-roles 10m"
        return
    }
    if (-not $PSCmdlet.ShouldProcess($what, 'ingest')) { return }
    # Removed, so that the user's own settings cannot send the samples to another index.
    $env:INGEST_INDEX = $null
    $env:INGEST_EMBEDDER = $null
    $env:INGEST_LOG = 'text'
    & (Join-Path $PSScriptRoot 'ingest.ps1') run $what --wait-for-roles 10m
    switch ($LASTEXITCODE) {
        0 { }
        3 { Write-Word 'the index is filled, except for the documents named above' }
        1 { Write-Transient 'a service failed, see above; completed work is kept' }
        11 { Write-Transient 'another run holds the index' }
        default { exit $LASTEXITCODE }
    }
}

if ($env:INGEST_POSTPROVISION_FAILURE -and $env:INGEST_POSTPROVISION_FAILURE -notin 'warn', 'fail') {
    Write-Word "INGEST_POSTPROVISION_FAILURE=$($env:INGEST_POSTPROVISION_FAILURE): expected warn or fail"
    exit 2
}
$what = $env:INGEST_POSTPROVISION
if (-not $what) { $what = if ($env:INFRA_PRIVATE_ENDPOINTS -eq 'true') { 'job' } else { 'samples=data/' } }

if ($moment -eq 'deployed') { Update-Event-Job }
if ($what -eq 'skip') { Write-Word 'INGEST_POSTPROVISION=skip: nothing done' }
elseif ($what -eq 'job') { Start-Job-Of-Azure }
elseif ($moment -eq 'provisioned') {
    if (-not ($env:AZURE_OPENAI_ENDPOINT -and $env:AZURE_SEARCH_ENDPOINT)) {
        Write-Word 'AZURE_OPENAI_ENDPOINT and AZURE_SEARCH_ENDPOINT are not both set; azd sets them: azd hooks run postprovision'
        exit 2
    }
    Invoke-Run $what
}
exit 0
