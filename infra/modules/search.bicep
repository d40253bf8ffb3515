metadata description = 'Azure AI Search. It has no keys; its own identity embeds queries for who asks in words.'

param name string
param location string
param tags object

@description('free has no identity of its own, so no vectorizer; basic is the least that has.')
param sku string

@description('Disabled where a private endpoint is the only way in.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

resource service 'Microsoft.Search/searchServices@2025-05-01' = {
  name: name
  location: location
  tags: tags
  sku: { name: sku }
  identity: { type: 'SystemAssigned' }
  properties: {
    disableLocalAuth: true // and no authOptions: they are refused beside it
    publicNetworkAccess: publicNetworkAccess
    semanticSearch: 'free'
  }
}

output id string = service.id
output name string = service.name
output principalId string = service.identity.principalId
