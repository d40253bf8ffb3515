metadata description = 'Alerts by e-mail: documents that could not be indexed, and nights without a complete run.'

param token string
param location string
param tags object

@description('E-mail address to notify.')
param address string

@description('Log Analytics workspace that has the output of the job.')
param logsId string

resource operator 'Microsoft.Insights/actionGroups@2024-10-01-preview' = {
  name: 'ag-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'ingest'
    enabled: true
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: address
        useCommonAlertSchema: true
      }
    ]
  }
}

resource failedDocuments 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = {
  name: 'ingest-failed-documents-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'ingest: documents could not be indexed'
    description: 'ContainerAppConsoleLogs names them, with a reason each; so does ingest status.'
    severity: 2
    enabled: true
    scopes: [logsId]
    skipQueryValidation: true // the table exists after the first run
    evaluationFrequency: 'PT1H'
    windowSize: 'P1D'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          query: 'ContainerAppConsoleLogs | extend line = parse_json(Log) | where line.event == "source" and line.level == "warning"'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: { actionGroups: [operator.id] }
  }
}

resource noGoodRun 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = {
  name: 'ingest-no-good-run-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'ingest: no complete run for 30 hours'
    description: 'A complete run ends with exit code 0 or 3. The last runs: az containerapp job execution list.'
    severity: 1
    enabled: true
    scopes: [logsId]
    skipQueryValidation: true
    evaluationFrequency: 'PT1H'
    windowSize: 'P1D'
    overrideQueryTimeRange: 'P2D'
    autoMitigate: true
    criteria: {
      allOf: [
        {
          // A night, a run and its retry. Without a complete run the result is a row with 0, not no row.
          query: 'ContainerAppConsoleLogs | where TimeGenerated > ago(30h) | extend line = parse_json(Log) | where line.event == "end" and toint(line.exit) in (0, 3) | summarize good = count()'
          metricMeasureColumn: 'good'
          timeAggregation: 'Total'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: { actionGroups: [operator.id] }
  }
}
