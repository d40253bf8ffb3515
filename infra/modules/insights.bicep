metadata description = 'Application Insights, where runs can be looked into. It takes tokens only.'

param name string
param location string
param tags object

@description('Log Analytics workspace that stores the telemetry.')
param workspaceId string

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  tags: tags
  kind: 'other'
  properties: {
    Application_Type: 'other'
    WorkspaceResourceId: workspaceId
    DisableLocalAuth: true
  }
}

output name string = insights.name
output connectionString string = insights.properties.ConnectionString // an address, not a secret: local authentication is disabled
