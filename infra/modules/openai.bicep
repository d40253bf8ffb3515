metadata description = 'Azure OpenAI with one deployment of an embedding model. It has no keys.'

param name string
param location string
param tags object

@description('The deployment, and the model behind it.')
param deploymentName string
param modelName string
param modelVersion string

@description('GlobalStandard, DataZoneStandard or Standard.')
param deploymentSku string

@description('The quota, in thousands of tokens a minute.')
param capacity int

@description('Disabled where a private endpoint is the only way in.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

resource account 'Microsoft.CognitiveServices/accounts@2026-07-01' = {
  name: name
  location: location
  tags: tags
  kind: 'OpenAI'
  sku: { name: 'S0' }
  properties: {
    customSubDomainName: name // without one, the account takes no tokens
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
