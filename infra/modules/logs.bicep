metadata description = 'Log Analytics workspace of the job\'s output and of Application Insights. It has no keys.'

param name string
param location string
param tags object

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: 30
    features: { disableLocalAuth: true }
  }
}

output id string = logs.id
