metadata description = 'All that runs ingest on Azure as a scheduled job, without a key.'

targetScope = 'subscription'

@description('Environment name: part of the name of every resource.')
@minLength(1)
@maxLength(40)
param environmentName string

@description('Region; it must offer the embedding model.')
@metadata({
  azd: {
    type: 'location' // azd offers the regions in which the default deployment has its quota left
    usageName: ['OpenAI.GlobalStandard.text-embedding-3-small,100']
  }
})
param location string

@description('Object id of the deployer, who fills the index first. Empty: only the host gets roles.')
param principalId string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string = 'User'

@description('Host of ingest: a scheduled Container Apps job, or an App Service.')
@allowed(['job', 'appservice'])
param host string = 'job'

@description('Reach the services from a private network only. The host then creates the index.')
param privateEndpoints bool = false

@description('Let the deployer upload PDFs to the container.')
param deployerUploads bool = false

@description('What starts runs: the schedule, or also events of the container of PDFs.')
@allowed(['schedule', 'event'])
param trigger string = 'schedule'

@description('Schedule of the job: cron expression of five fields, in UTC.')
param schedule string = '0 2 * * *'

@description('Seconds after which the platform ends a run.')
param jobTimeout int = 7200

@description('Image of the last deployment, set by azd.')
param jobImage string = ''

@description('GROUP/NAME of an Azure OpenAI account to use; its custom subdomain must be its name.')
param existingOpenAi string = ''

@description('GROUP/NAME of a search service to use; it must accept tokens.')
param existingSearch string = ''

@description('Object id of that service\'s own identity, if it should embed queries.')
param existingSearchPrincipalId string = ''

@description('GROUP/NAME of a storage account to use.')
param existingStorage string = ''

@description('Create Document Intelligence, which reads scanned pages and is billed per page.')
param documentIntelligence bool = false

@description('GROUP/NAME of a Document Intelligence account to use; its custom subdomain must be its name.')
param existingDocumentIntelligence string = ''

@description('Create Application Insights for the host, which is billed by volume.')
param applicationInsights bool = false

@description('E-mail address for alerts on failed documents and on nights without a complete run. Empty: no alerts.')
param alertEmail string = ''

@description('Name of the container of PDFs.')
param containerName string = 'pdfs'

@description('Name of the index.')
param indexName string = 'ingest'

param embeddingDeployment string = 'text-embedding-3-small'
param embeddingModel string = 'text-embedding-3-small'
param embeddingModelVersion string = '1'
param embeddingDimensions int = 1536
param embeddingSku string = 'GlobalStandard'

@description('Quota in thousands of tokens per minute.')
param embeddingCapacity int = 100

param searchSku string = 'basic'

var tags = { 'azd-env-name': environmentName }
var token = toLower(uniqueString(subscription().id, environmentName, location))
var groupName = 'rg-${environmentName}'
var isJob = host == 'job'
var isEventDriven = trigger == 'schedule'
  ? false
  : isJob && !privateEndpoints ? true : fail('trigger: expected schedule with an App Service or private endpoints')
var alertAddress = empty(alertEmail) || isJob ? alertEmail : fail('alertEmail: expected host job, not ${host}')
var publicNetworkAccess = privateEndpoints ? 'Disabled' : 'Enabled'

// Resource group and name of each service, created here or existing.
var openAi = empty(existingOpenAi)
  ? [groupName, 'oai-${token}']
  : length(split(existingOpenAi, '/')) == 2 && !contains(split(existingOpenAi, '/'), '')
      ? split(existingOpenAi, '/')
      : fail('existingOpenAi: expected GROUP/NAME, got ${existingOpenAi}')
var search = empty(existingSearch)
  ? [groupName, 'srch-${token}']
  : length(split(existingSearch, '/')) == 2 && !contains(split(existingSearch, '/'), '')
      ? split(existingSearch, '/')
      : fail('existingSearch: expected GROUP/NAME, got ${existingSearch}')
var storage = empty(existingStorage)
  ? [groupName, 'st${token}']
  : length(split(existingStorage, '/')) == 2 && !contains(split(existingStorage, '/'), '')
      ? split(existingStorage, '/')
      : fail('existingStorage: expected GROUP/NAME, got ${existingStorage}')

var makesOcr = documentIntelligence && empty(existingDocumentIntelligence)
var ocr = empty(existingDocumentIntelligence)
  ? [groupName, makesOcr ? 'di-${token}' : '']
  : length(split(existingDocumentIntelligence, '/')) == 2 && !contains(split(existingDocumentIntelligence, '/'), '')
      ? split(existingDocumentIntelligence, '/')
      : fail('existingDocumentIntelligence: expected GROUP/NAME, got ${existingDocumentIntelligence}')
// environment() has no suffix of these services.
var cloud = loadJsonContent('clouds.json')[environment().name]
var ocrEndpoint = empty(ocr[1]) ? '' : 'https://${ocr[1]}.${cloud.cognitiveServices}'

var openAiEndpoint = 'https://${openAi[1]}.${cloud.openAi}'
var searchEndpoint = 'https://${search[1]}.${cloud.search}'
var root = 'https://${storage[1]}.blob.${environment().suffixes.storage}/${containerName}'

var queueName = 'ingest-${token}'
var queueUrl = 'https://${storage[1]}.queue.${environment().suffixes.storage}/${queueName}'

var settings = [
  { name: 'AZURE_OPENAI_ENDPOINT', value: openAiEndpoint }
  { name: 'AZURE_OPENAI_EMBEDDING_DEPLOYMENT', value: embeddingDeployment }
  { name: 'AZURE_OPENAI_EMBEDDING_MODEL', value: embeddingModel }
  { name: 'AZURE_OPENAI_EMBEDDING_DIMENSIONS', value: string(embeddingDimensions) }
  { name: 'AZURE_SEARCH_ENDPOINT', value: searchEndpoint }
  { name: 'AZURE_SEARCH_INDEX', value: indexName }
  { name: 'INGEST_ROOT', value: root }
  { name: 'INGEST_OCR', value: ocrEndpoint } // empty: unset
  { name: 'INGEST_EVENT_QUEUE', value: isEventDriven ? queueUrl : '' }
]

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: groupName
  location: location
  tags: tags
}

// The services.

module newOpenAi 'modules/openai.bicep' = if (empty(existingOpenAi)) {
  scope: group
  params: {
    name: openAi[1]
    location: location
    tags: tags
    deploymentName: embeddingDeployment
    modelName: embeddingModel
    modelVersion: embeddingModelVersion
    deploymentSku: embeddingSku
    capacity: embeddingCapacity
    publicNetworkAccess: publicNetworkAccess
  }
}

module newSearch 'modules/search.bicep' = if (empty(existingSearch)) {
  scope: group
  params: {
    name: search[1]
    location: location
    tags: tags
    sku: searchSku
    publicNetworkAccess: publicNetworkAccess
  }
}

module newStorage 'modules/storage.bicep' = if (empty(existingStorage)) {
  scope: group
  params: {
    name: storage[1]
    location: location
    tags: tags
    containerName: containerName
    publicNetworkAccess: publicNetworkAccess
  }
}

module newOcr 'modules/document-intelligence.bicep' = if (makesOcr) {
  scope: group
  params: {
    name: ocr[1]
    location: location
    tags: tags
    publicNetworkAccess: publicNetworkAccess
  }
}

module private 'modules/private.bicep' = if (privateEndpoints) {
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    openAiId: empty(existingOpenAi) ? newOpenAi!.outputs.id : ''
    searchId: empty(existingSearch) ? newSearch!.outputs.id : ''
    storageId: empty(existingStorage) ? newStorage!.outputs.id : ''
    documentIntelligenceId: makesOcr ? newOcr!.outputs.id : ''
  }
}

// The host.

module identity 'modules/identity.bicep' = if (isJob) {
  scope: group
  params: {
    name: 'id-${token}'
    location: location
    tags: tags
  }
}

module registry 'modules/registry.bicep' = if (isJob) {
  scope: group
  params: {
    name: 'cr${token}'
    location: location
    tags: tags
  }
}

module logs 'modules/logs.bicep' = if (isJob || applicationInsights) {
  scope: group
  params: {
    name: 'log-${token}'
    location: location
    tags: tags
  }
}

module hosting 'modules/environment.bicep' = if (isJob) {
  scope: group
  params: {
    name: 'cae-${token}'
    location: location
    tags: tags
    logsId: logs!.outputs.id
    subnetId: privateEndpoints ? private!.outputs.jobSubnetId : ''
  }
}

module insights 'modules/insights.bicep' = if (applicationInsights) {
  scope: group
  params: {
    name: 'appi-${token}'
    location: location
    tags: tags
    workspaceId: logs!.outputs.id
  }
}

module alerts 'modules/alerts.bicep' = if (!empty(alertAddress)) {
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    address: alertAddress
    logsId: logs!.outputs.id
  }
}

module job 'modules/job.bicep' = if (isJob) {
  scope: group
  params: {
    name: 'job-${token}'
    location: location
    tags: tags
    environmentId: hosting!.outputs.id
    registryServer: registry!.outputs.loginServer
    image: jobImage
    identityId: identity!.outputs.id
    identityClientId: identity!.outputs.clientId
    schedule: schedule
    timeout: jobTimeout
    insightsConnection: applicationInsights ? insights!.outputs.connectionString : ''
    environmentVariables: settings
  }
  dependsOn: [registryPull]
}

// A job has one trigger, so that of the events is another job.
module events 'modules/events.bicep' = if (isEventDriven) {
  scope: resourceGroup(storage[0])
  params: {
    topicName: 'evgt-${token}'
    location: location
    tags: tags
    storageName: storage[1]
    containerName: containerName
    queueName: queueName
  }
  dependsOn: [newStorage]
}

module eventJob 'modules/job.bicep' = if (isEventDriven) {
  scope: group
  params: {
    name: 'job-events-${token}'
    location: location
    tags: tags
    environmentId: hosting!.outputs.id
    registryServer: registry!.outputs.loginServer
    image: jobImage
    identityId: identity!.outputs.id
    identityClientId: identity!.outputs.clientId
    schedule: ''
    queueAccount: storage[1]
    queueName: events!.outputs.queueName
    timeout: jobTimeout
    insightsConnection: applicationInsights ? insights!.outputs.connectionString : ''
    environmentVariables: settings
  }
  dependsOn: [registryPull, processesEvents, countsEvents]
}

module site 'modules/appservice.bicep' = if (!isJob) {
  scope: group
  params: {
    name: 'app-${token}'
    planName: 'plan-${token}'
    location: location
    tags: tags
    subnetId: privateEndpoints ? private!.outputs.siteSubnetId : ''
    insightsConnection: applicationInsights ? insights!.outputs.connectionString : ''
    environmentVariables: settings
  }
}

// Role assignments.

module registryPull 'roles/acr-pull.bicep' = if (isJob) {
  scope: group
  params: {
    resourceName: registry!.outputs.name
    principalId: identity!.outputs.principalId
    principalType: 'ServicePrincipal'
  }
}

module insightsPublish 'roles/metrics-publisher.bicep' = if (applicationInsights) {
  scope: group
  params: {
    resourceName: insights!.outputs.name
    principalId: isJob ? identity!.outputs.principalId : site!.outputs.principalId
    principalType: 'ServicePrincipal'
  }
}

module processesEvents 'roles/queue-processor.bicep' = if (isEventDriven) {
  scope: resourceGroup(storage[0])
  params: {
    resourceName: storage[1]
    queueName: events!.outputs.queueName
    principalId: identity!.outputs.principalId
    principalType: 'ServicePrincipal'
  }
}

module countsEvents 'roles/queue-reader.bicep' = if (isEventDriven) {
  scope: resourceGroup(storage[0])
  params: {
    resourceName: storage[1]
    queueName: events!.outputs.queueName
    principalId: identity!.outputs.principalId
    principalType: 'ServicePrincipal'
  }
}

module hostRoles 'modules/access.bicep' = {
  scope: group
  params: {
    principalId: isJob ? identity!.outputs.principalId : site!.outputs.principalId
    principalType: 'ServicePrincipal'
    openAi: openAi
    search: search
    storage: storage
    containerName: containerName
    documentIntelligence: ocr
    blobs: 'read'
    createsIndex: privateEndpoints
  }
  // The compiler sees another way to these, through the site and its private endpoints. With the job
  // or without private endpoints there is none, and the roles would not wait for their resources.
  #disable-next-line no-unnecessary-dependson
  dependsOn: [newOpenAi, newSearch, newStorage, newOcr]
}

module deployerRoles 'modules/access.bicep' = if (!empty(principalId)) {
  scope: group
  params: {
    principalId: principalId
    principalType: principalType
    openAi: openAi
    search: search
    storage: storage
    containerName: containerName
    documentIntelligence: ocr
    blobs: deployerUploads ? 'write' : 'none'
    createsIndex: true
  }
  dependsOn: [newOpenAi, newSearch, newStorage, newOcr]
}

// So that the search service can embed text queries.
module searchEmbeds 'roles/openai-user.bicep' = if (empty(existingSearch) || !empty(existingSearchPrincipalId)) {
  scope: resourceGroup(openAi[0])
  params: {
    resourceName: openAi[1]
    principalId: empty(existingSearch) ? newSearch!.outputs.principalId : existingSearchPrincipalId
    principalType: 'ServicePrincipal'
  }
  dependsOn: [newOpenAi]
}

// Outputs have the names of ingest's settings, so that `ingest run` after `azd env get-values` uses
// this deployment. The identity of the host is not among them: on a
// person's machine AZURE_OPENAI_CLIENT_ID would ask for an identity that only the host has.
output AZURE_RESOURCE_GROUP string = group.name
output AZURE_OPENAI_ENDPOINT string = openAiEndpoint
output AZURE_OPENAI_EMBEDDING_DEPLOYMENT string = embeddingDeployment
output AZURE_OPENAI_EMBEDDING_MODEL string = embeddingModel
output AZURE_OPENAI_EMBEDDING_DIMENSIONS int = embeddingDimensions
output AZURE_SEARCH_ENDPOINT string = searchEndpoint
output AZURE_SEARCH_INDEX string = indexName
output INGEST_ROOT string = root
output INGEST_OCR string = ocrEndpoint
output AZURE_CONTAINER_REGISTRY_ENDPOINT string = isJob ? registry!.outputs.loginServer : ''
output AZURE_CONTAINER_JOB_NAME string = isJob ? job!.outputs.name : ''
output AZURE_CONTAINER_EVENT_JOB_NAME string = isEventDriven ? eventJob!.outputs.name : ''
output AZURE_APP_SERVICE_NAME string = isJob ? '' : site!.outputs.name
