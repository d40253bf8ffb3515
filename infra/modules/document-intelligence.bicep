metadata description = 'Document Intelligence, which reads scanned pages. It has no keys.'

param name string
param location string
param tags object

@description('Disabled where a private endpoint is the only way in.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

resource account 'Microsoft.CognitiveServices/accounts@2026-07-01' = {
  name: name
  location: location
  tags: tags
  kind: 'FormRecognizer'
  sku: { name: 'S0' } // the free tier reads one page a second, and few in all
  properties: {
    customSubDomainName: name // without one, the account takes no tokens
    disableLocalAuth: true
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      defaultAction: publicNetworkAccess == 'Enabled' ? 'Allow' : 'Deny'
    }
  }
}

output id string = account.id
