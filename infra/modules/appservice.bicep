metadata description = 'An App Service as the host instead of the job, with an identity of its own.'

param name string
param planName string
param location string
param tags object

@description('Subnet for outbound calls; empty: no virtual network.')
param subnetId string

@description('Application Insights connection string for traces and metrics; empty: none are sent.')
param insightsConnection string

@description('Environment variables of ingest: name and value.')
param environmentVariables { name: string, value: string }[]

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'linux'
  sku: { name: 'B1' } // the cheapest with Always On, which scheduled WebJobs need
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'app,linux'
  identity: { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      linuxFxVersion: 'PYTHON|3.13'
      alwaysOn: true
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
      vnetRouteAllEnabled: !empty(subnetId)
      // No client id: with none, the identity is the system-assigned one.
      appSettings: concat(environmentVariables, [
        {
          name: 'AZURE_TOKEN_CREDENTIALS'
          value: 'ManagedIdentityCredential'
        }
        {
          name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
          value: insightsConnection // empty: unset
        }
        {
          name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
          value: 'Authorization=AAD'
        }
        {
          name: 'SCM_DO_BUILD_DURING_DEPLOYMENT'
          value: 'true'
        }
      ])
    }
  }
}

// Deployments use tokens too: publishing passwords are disabled.
resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'ftp'
  properties: { allow: false }
}

resource scmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'scm'
  properties: { allow: false }
}

output name string = site.name
output principalId string = site.identity.principalId
