<#
.SYNOPSIS
Create or update .venv, and print the path of its Python. Used by the other scripts on Windows.

.DESCRIPTION
PowerShell version of scripts/environment, with the same variables: PYTHON names the interpreter to
use, and INGEST_VENV a folder instead of .venv.

.PARAMETER Kind
run: packages of ingest; ocr: these, and local OCR; emulator; dev: all of these, and those of tests.
#>
[CmdletBinding()]
param([Parameter(Mandatory, Position = 0)][ValidateSet('run', 'ocr', 'emulator', 'dev')][string]$Kind)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false # exit codes are checked one by one

# Version of that Python; nothing if it does not run. The Store's python3 exists, and ends with 9009.
function Get-Version([string]$candidate) {
    $ErrorActionPreference = 'Continue' # Windows PowerShell takes redirected errors for its own
    if (-not (Get-Command $candidate -CommandType Application -ErrorAction SilentlyContinue)) { return }
    $answer = & $candidate -c "import sys; print('.'.join(map(str, sys.version_info[:2])))" 2>$null
    if ($LASTEXITCODE -eq 0) { return $answer -as [version] }
}

$root = Split-Path $PSScriptRoot
$venv = Join-Path $root '.venv'
if ($env:INGEST_VENV) { $venv = [IO.Path]::Combine($root, $env:INGEST_VENV) }
$python = Join-Path $venv 'bin/python'
if ($env:OS -eq 'Windows_NT') { $python = Join-Path $venv 'Scripts\python.exe' }
$stamp = Join-Path $venv "$Kind.txt"
$lock = Join-Path $root "requirements/$Kind.txt"
if ((Test-Path $python) -and (Test-Path $stamp) -and ((Get-FileHash $stamp).Hash -eq (Get-FileHash $lock).Hash)) {
    Write-Output $python
    exit 0
}

$candidates = @('py', 'python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11', 'python')
if ($env:PYTHON) { $candidates = @($env:PYTHON) }
$found = ''
foreach ($candidate in $candidates) {
    $version = Get-Version $candidate
    if (-not $version) { continue }
    $found += " $candidate=$version"
    if ($version -lt [version]'3.11') { continue }
    & $candidate (Join-Path $PSScriptRoot 'environment.py') $Kind $venv | ForEach-Object { [Console]::Error.WriteLine($_) }
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    Write-Output $python
    exit 0
}
if (-not $found) { $found = ' none' }
[Console]::Error.WriteLine("ingest needs Python 3.11 or newer; found:$found. Install one, or name it in `$env:PYTHON.")
exit 2
