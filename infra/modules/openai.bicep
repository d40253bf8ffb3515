metadata description = 'Azure OpenAI with one deployment of an embedding model. It has no keys.'

param name string
param location string
param tags object

@description('Deployment and its model.')
param deploymentName string
param modelName string
param modelVersion string

@description('Deployment type: GlobalStandard, DataZoneStandard or Standard.')
param deploymentSku string

@description('Quota in thousands of tokens per minute.')
param capacity int

@description('Enabled or Disabled; Disabled with private endpoints.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

resource account 'Microsoft.CognitiveServices/accounts@2026-07-01' = {
  name: name
  location: location
  tags: tags
  kind: 'OpenAI'
  sku: { name: 'S0' }
  properties: {
    customSubDomainName: name // without it, the account accepts no tokens
    disableLocalAuth: true
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      defaultAction: publicNetworkAccess == 'Enabled' ? 'Allow' : 'Deny'
      bypass: 'AzureServices' // the search service embeds queries
    }
  }
}

resource deployment 'Microsoft.CognitiveServices/accounts/deployments@2026-07-01' = {
  parent: account
  name: deploymentName
  sku: {
    name: deploymentSku
    capacity: capacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: modelName
      version: modelVersion
    }
    versionUpgradeOption: 'NoAutoUpgrade' // vectors of two versions do not mix
  }
}

output id string = account.id
output name string = account.name
output deploymentName string = deployment.name
