metadata description = 'A network of three parts: the job, an App Service, and the private endpoints.'

param name string
param location string
param tags object

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: ['10.0.0.0/16'] }
    subnets: [
      {
        name: 'job'
        properties: {
          addressPrefix: '10.0.0.0/23'
          delegations: [
            {
              name: 'environment'
              properties: { serviceName: 'Microsoft.App/environments' }
            }
          ]
        }
      }
      {
        name: 'site'
        properties: {
          addressPrefix: '10.0.2.0/26'
          delegations: [
            {
              name: 'farm'
              properties: { serviceName: 'Microsoft.Web/serverFarms' }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: { addressPrefix: '10.0.3.0/24' }
      }
    ]
  }
}

output id string = network.id
output jobSubnetId string = '${network.id}/subnets/job'
output siteSubnetId string = '${network.id}/subnets/site'
output endpointsSubnetId string = '${network.id}/subnets/endpoints'
