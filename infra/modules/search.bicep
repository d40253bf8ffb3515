metadata description = 'Azure AI Search. It has no keys; its own identity embeds queries for who asks in words.'

param name string
param location string
param tags object

@description('Tier. basic is the lowest with a managed identity, which the vectorizer needs.')
param sku string

@description('Enabled or Disabled; Disabled with private endpoints.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

resource service 'Microsoft.Search/searchServices@2025-05-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: sku }
  identity: { type: 'SystemAssigned' }
  properties: {
    disableLocalAuth: true // authOptions must be absent then
    publicNetworkAccess: publicNetworkAccess
    semanticSearch: 'free'
  }
}

output id string = service.id
output name string = service.name
output principalId string = service.identity.principalId
