metadata description = 'Document Intelligence, which reads scanned pages. It has no keys.'

param name string
param location string
param tags object

@description('Enabled or Disabled; Disabled with private endpoints.')
@allowed(['Enabled', 'Disabled'])
param publicNetworkAccess string

resource account 'Microsoft.CognitiveServices/accounts@2026-07-01' = {
  name: name
  location: location
  tags: tags
  kind: 'FormRecognizer'
  sku: { name: 'S0' } // the free tier is limited to one page a second and few pages a month
  properties: {
    customSubDomainName: name // without it, the account accepts no tokens
    disableLocalAuth: true
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      defaultAction: publicNetworkAccess == 'Enabled' ? 'Allow' : 'Deny'
    }
  }
}

output id string = account.id
