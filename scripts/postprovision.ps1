<#
.SYNOPSIS
azd hook on Windows that creates and fills the index after provisioning.

.DESCRIPTION
PowerShell version of postprovision.sh, with the same variables: INGEST_POSTPROVISION (a folder, job
or skip) and INGEST_POSTPROVISION_FAILURE (warn or fail). Safe to run again: azd hooks run
postprovision.

.PARAMETER Moment
provisioned; after a deployment, deployed.
#>
param([ValidateSet('provisioned', 'deployed')][string]$Moment = 'provisioned')

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false # exit codes are checked one by one
Set-Location (Join-Path $PSScriptRoot '..')

function Write-Word([string]$text) { [Console]::Error.WriteLine("postprovision: $text") }

# Report a failure that goes away without a change of settings.
function Stop-Transient([string]$text) {
    Write-Word "$text; continue with: azd hooks run postprovision"
    if ($env:INGEST_POSTPROVISION_FAILURE -eq 'fail') { exit 1 }
    exit 0
}

function Start-Job-Of-Azure {
    if (-not $env:AZURE_CONTAINER_JOB_NAME) {
        Write-Word 'there is no job to start: INFRA_HOST is not job; run ingest on the host'
        return
    }
    if ($Moment -eq 'provisioned' -and -not $env:SERVICE_INGEST_IMAGE_NAME) {
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
    if ($LASTEXITCODE -ne 0) { Stop-Transient 'the state of the job could not be queried' }
    if ($running -ne '0') {
        Write-Word 'the job is running already'
        return
    }
    & az containerapp job start @job --output none
    if ($LASTEXITCODE -ne 0) { Stop-Transient 'the job could not be started' }
    Write-Word "the job was started; its runs: az containerapp job execution list $($job -join ' ') --output table"
}

# Set up the environment, as scripts/environment does for sh, but without the unneeded local model.
function Get-Python {
    $python = '.venv\Scripts\python.exe'
    $stamp = '.venv\core.txt'
    $lock = 'requirements\core.txt'
    if ((Test-Path $python) -and (Test-Path $stamp) -and
        ((Get-FileHash $stamp).Hash -eq (Get-FileHash $lock).Hash)) { return $python }
    $found = Get-Command @('py', 'python3', 'python') -ErrorAction SilentlyContinue | Select-Object -First 1
    if (-not $found) {
        Write-Word 'ingest needs Python 3.11 or newer: install one'
        exit 2
    }
    & $found.Source -m venv .venv | Out-Host
    if ($LASTEXITCODE -ne 0) { exit 2 }
    & $python -m pip install -qq --disable-pip-version-check --require-hashes --only-binary ':all:' --requirement $lock | Out-Host
    if ($LASTEXITCODE -ne 0) { exit 2 }
    Copy-Item $lock $stamp
    return $python
}

function Invoke-Run([string]$what) {
    $python = Get-Python
    # Removed, so that the user's own settings cannot send the samples to another index.
    Remove-Item Env:INGEST_INDEX -ErrorAction SilentlyContinue
    Remove-Item Env:INGEST_EMBEDDER -ErrorAction SilentlyContinue
    $env:INGEST_LOG = 'text'
    $env:PYTHONPATH = (Get-Location).Path
    & $python -P -m ingest run $what --wait-for-roles 10m
    switch ($LASTEXITCODE) {
        0 { }
        3 { Write-Word 'the index is filled, except for the documents named above' }
        1 { Stop-Transient 'a service failed, see above; completed work is kept' }
        11 { Stop-Transient 'another run holds the index' }
        default { exit $LASTEXITCODE }
    }
}

if ($env:INGEST_POSTPROVISION_FAILURE -and $env:INGEST_POSTPROVISION_FAILURE -notin 'warn', 'fail') {
    Write-Word "INGEST_POSTPROVISION_FAILURE=$($env:INGEST_POSTPROVISION_FAILURE): expected warn or fail"
    exit 2
}
$what = $env:INGEST_POSTPROVISION
if (-not $what) { $what = if ($env:INFRA_PRIVATE_ENDPOINTS -eq 'true') { 'job' } else { 'samples=data/' } }

if ($what -eq 'skip') { Write-Word 'INGEST_POSTPROVISION=skip: nothing done' }
elseif ($what -eq 'job') { Start-Job-Of-Azure }
elseif ($Moment -eq 'provisioned') {
    if (-not ($env:AZURE_OPENAI_ENDPOINT -and $env:AZURE_SEARCH_ENDPOINT)) {
        Write-Word 'AZURE_OPENAI_ENDPOINT and AZURE_SEARCH_ENDPOINT are not both set; azd sets them: azd hooks run postprovision'
        exit 2
    }
    Invoke-Run $what
}
exit 0
