metadata description = 'Search Service Contributor: may create indexes and add fields to them.'

param resourceName string
param principalId string

@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string

var roleDefinitionId = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  '7ca78c08-252a-4471-8644-bb5ff32d4ba0'
)

resource service 'Microsoft.Search/searchServices@2025-05-01' existing = {
  name: resourceName
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(service.id, principalId, roleDefinitionId)
  scope: service
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: roleDefinitionId
  }
}
