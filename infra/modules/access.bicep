metadata description = 'The roles of one principal on the services, wherever their groups are.'

param principalId string

@allowed(['User', 'ServicePrincipal'])
param principalType string

@description('Group and name of each.')
param openAi string[]
param search string[]
param storage string[]
param containerName string

@description('Group and name of what reads scanned pages; no name: nothing does.')
param documentIntelligence string[]

@description('What it may do with the PDFs of the container.')
@allowed(['none', 'read', 'write'])
param blobs string

@description('Whether it may create the index and add fields to it.')
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
