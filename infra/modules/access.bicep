metadata description = 'The roles of one principal on the services, wherever their groups are.'

param principalId string

@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string

@description('Resource group and name of each service.')
param openAi string[]
param search string[]
param storage string[]
param containerName string

@description('Resource group and name of the OCR account; no name: no OCR.')
param documentIntelligence string[]

@description('Role on the container of PDFs.')
@allowed(['none', 'read', 'write'])
param blobs string

@description('Whether the identity may create the index and add fields to it.')
param createsIndex bool

module embeds '../roles/openai-user.bicep' = {
  scope: resourceGroup(openAi[0])
  params: {
    resourceName: openAi[1]
    principalId: principalId
    principalType: principalType
  }
}

module recognises '../roles/cognitive-user.bicep' = if (!empty(documentIntelligence[1])) {
  scope: resourceGroup(documentIntelligence[0])
  params: {
    resourceName: documentIntelligence[1]
    principalId: principalId
    principalType: principalType
  }
}

module writesDocuments '../roles/search-index-data.bicep' = {
  scope: resourceGroup(search[0])
  params: {
    resourceName: search[1]
    principalId: principalId
    principalType: principalType
  }
}

module makesIndex '../roles/search-service.bicep' = if (createsIndex) {
  scope: resourceGroup(search[0])
  params: {
    resourceName: search[1]
    principalId: principalId
    principalType: principalType
  }
}

module readsBlobs '../roles/blob-reader.bicep' = if (blobs == 'read') {
  scope: resourceGroup(storage[0])
  params: {
    resourceName: storage[1]
    containerName: containerName
    principalId: principalId
    principalType: principalType
  }
}

module writesBlobs '../roles/blob-contributor.bicep' = if (blobs == 'write') {
  scope: resourceGroup(storage[0])
  params: {
    resourceName: storage[1]
    containerName: containerName
    principalId: principalId
    principalType: principalType
  }
}
