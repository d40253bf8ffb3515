metadata description = 'Cognitive Services User: may have pages read by a Document Intelligence account. It may list keys too, of which there are none.'

param resourceName string
param principalId string

@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string

var roleDefinitionId = subscriptionResourceId(
  'Microsoft.Authorization/roleDefinitions',
  'a97b65f3-24c7-4388-baec-2e87135dc908'
)

resource account 'Microsoft.CognitiveServices/accounts@2026-07-01' existing = {
  name: resourceName
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, principalId, roleDefinitionId)
  scope: account
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: roleDefinitionId
  }
}
