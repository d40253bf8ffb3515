metadata description = 'The scheduled job: `ingest run` as a user-assigned identity, one at a time.'

param name string
param location string
param tags object
param environmentId string
param registryServer string

@description('The image to run; empty: one that says hello, until the first deployment.')
param image string

@description('The identity: its resource id, and the client id that SDKs choose it by.')
param identityId string
param identityClientId string

@description('When it runs: five fields of cron, in UTC.')
param schedule string

@description('Seconds until the platform ends a run; ingest ends it in good order five minutes before.')
@minValue(900)
param timeout int

@description('Where it sends traces and metrics; empty: nowhere.')
param insightsConnection string

@description('What ingest is told, as pairs of name and value.')
param environmentVariables { name: string, value: string }[]

var identityVariables = [
  {
    name: 'AZURE_OPENAI_CLIENT_ID'
    value: identityClientId
  }
  {
    name: 'AZURE_CLIENT_ID'
    value: identityClientId
  }
  {
    name: 'AZURE_TOKEN_CREDENTIALS'
    value: 'ManagedIdentityCredential'
  }
  {
    name: 'INGEST_DEADLINE'
    value: '${timeout - 300}s'
  }
  {
    // PDFs that are broken for good do not fail every night; what is new does, and so does its retry.
    name: 'INGEST_EXIT_OK'
    value: 'known'
  }
  {
    name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
    value: insightsConnection // empty: unset
  }
  {
    name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
    value: 'Authorization=AAD;ClientId=${identityClientId}'
  }
]

resource job 'Microsoft.App/jobs@2026-01-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'ingest' })
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Schedule'
      scheduleTriggerConfig: {
        cronExpression: schedule
        parallelism: 1 // two runs on one index do not work side by side: the second would end with 11
        replicaCompletionCount: 1
      }
      replicaTimeout: timeout
      replicaRetryLimit: 1 // a run that fails keeps what it did, and the schedule is the next retry
      registries: [
        {
          server: registryServer
          identity: identityId
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'ingest'
          image: empty(image) ? 'mcr.microsoft.com/k8se/quickstart-jobs:latest' : image
          // Without a command the placeholder's own would run; ingest's entry point takes "run".
          args: empty(image) ? null : ['run']
          env: concat(environmentVariables, identityVariables)
          resources: {
            cpu: json('1.0')
            memory: '2Gi'
          }
        }
      ]
    }
  }
}

output name string = job.name
