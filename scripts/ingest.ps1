<#
.SYNOPSIS
ingest from this checkout, in its own environment, from any working directory.

.DESCRIPTION
PowerShell version of scripts/ingest: ./scripts/ingest.ps1 run data/
#>
# Without CmdletBinding, so that every option goes to ingest.
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false # the exit code is that of ingest
$root = Split-Path $PSScriptRoot
$python = & (Join-Path $PSScriptRoot 'environment.ps1') run
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }

$before = $env:PYTHONPATH
$env:PYTHONPATH = (@($root, $before) | Where-Object { $_ }) -join [IO.Path]::PathSeparator
try { & $python -P -m ingest @args }
finally { $env:PYTHONPATH = $before }
exit $LASTEXITCODE
