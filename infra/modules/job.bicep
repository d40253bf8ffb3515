metadata description = 'A job of a schedule or a queue: `ingest run` as a user-assigned identity, one at a time.'

param name string
param location string
param tags object
param environmentId string
param registryServer string

@description('Container image; empty until the first deployment: a placeholder.')
param image string

@description('User-assigned identity: its resource id, and its client id, by which SDKs select it.')
param identityId string
param identityClientId string

@description('Schedule: cron expression of five fields, in UTC.')
param schedule string

@description('Storage account and queue whose messages start the job; empty: its schedule does.')
param queueAccount string = ''
param queueName string = ''

@description('Seconds after which the platform ends a run; ingest stops cleanly five minutes earlier.')
@minValue(900)
param timeout int

@description('Application Insights connection string for traces and metrics; empty: none are sent.')
param insightsConnection string

@description('Environment variables of ingest: name and value.')
param environmentVariables { name: string, value: string }[]

var isEventDriven = !empty(queueName)

var scheduleTrigger = {
  cronExpression: schedule
  parallelism: 1 // one run per index: a second one would end with exit code 11
  replicaCompletionCount: 1
}

var eventTrigger = {
  parallelism: 1
  replicaCompletionCount: 1
  scale: {
    minExecutions: 0
    maxExecutions: 1 // a run takes all messages that it finds
    pollingInterval: 60
    rules: [
      {
        name: 'blob-events'
        type: 'azure-queue'
        identity: identityId
        metadata: {
          accountName: queueAccount
          queueName: queueName
          queueLength: '1'
          queueLengthStrategy: 'visibleonly' // a run hides its messages until it has finished
        }
      }
    ]
  }
}

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
    // Permanently broken PDFs do not fail every night; new ones do, and so does the retry of that run.
    name: 'INGEST_EXIT_OK'
    value: isEventDriven ? 'known,11' : 'known' // 11: the messages stay, and start another run
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
  // azd deploys to one resource; its hook gives the image to the job of a queue.
  tags: isEventDriven ? tags : union(tags, { 'azd-service-name': 'ingest' })
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: isEventDriven ? 'Event' : 'Schedule'
      scheduleTriggerConfig: isEventDriven ? null : scheduleTrigger
      eventTriggerConfig: isEventDriven ? eventTrigger : null
      replicaTimeout: timeout
      replicaRetryLimit: 1 // a failed run keeps its finished work, and the schedule is the next retry
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
          // Without it, the placeholder's own command would run; the entry point of ingest takes "run".
          args: empty(image) ? null : ['run']
          env: concat(environmentVariables, identityVariables)
          // ingest reads a document on each CPU, and divides the memory among them.
          resources: {
            cpu: json('2.0')
            memory: '4Gi'
          }
        }
      ]
    }
  }
}

output name string = job.name
