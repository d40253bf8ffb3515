metadata description = 'A private network, and an endpoint in it for each service that is made here.'

param token string
param location string
param tags object

@description('Resource ids; empty for an existing service, whose network settings do not change.')
param openAiId string
param searchId string
param storageId string
param documentIntelligenceId string

var cloud = loadJsonContent('../clouds.json')[environment().name]

module network 'network.bicep' = {
  params: {
    name: 'vnet-${token}'
    location: location
    tags: tags
  }
}

module openAi 'private-endpoint.bicep' = if (!empty(openAiId)) {
  params: {
    name: 'pe-openai-${token}'
    location: location
    tags: tags
    networkId: network.outputs.id
    subnetId: network.outputs.endpointsSubnetId
    resourceId: openAiId
    service: 'account'
    zone: 'privatelink.${cloud.openAi}'
  }
}

module search 'private-endpoint.bicep' = if (!empty(searchId)) {
  params: {
    name: 'pe-search-${token}'
    location: location
    tags: tags
    networkId: network.outputs.id
    subnetId: network.outputs.endpointsSubnetId
    resourceId: searchId
    service: 'searchService'
    zone: 'privatelink.${cloud.search}'
  }
}

module storage 'private-endpoint.bicep' = if (!empty(storageId)) {
  params: {
    name: 'pe-storage-${token}'
    location: location
    tags: tags
    networkId: network.outputs.id
    subnetId: network.outputs.endpointsSubnetId
    resourceId: storageId
    service: 'blob'
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
}

module documentIntelligence 'private-endpoint.bicep' = if (!empty(documentIntelligenceId)) {
  params: {
    name: 'pe-ocr-${token}'
    location: location
    tags: tags
    networkId: network.outputs.id
    subnetId: network.outputs.endpointsSubnetId
    resourceId: documentIntelligenceId
    service: 'account'
    zone: 'privatelink.${cloud.cognitiveServices}'
  }
}

output jobSubnetId string = network.outputs.jobSubnetId
output siteSubnetId string = network.outputs.siteSubnetId
