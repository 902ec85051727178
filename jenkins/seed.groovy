// Job DSL: the same job as config.xml. `make jenkins` writes its parameters; change the address and the branch.
folder('shop') // where the folder is there and has credentials of its own, take this line out: Job DSL drops those
pipelineJob('shop/rollback') {
  description("Rolls a release back as the team's plan says.")
  properties {
    buildDiscarder { strategy { logRotator { daysToKeepStr('-1'); numToKeepStr('100'); artifactDaysToKeepStr('-1'); artifactNumToKeepStr('-1') } } }
  }
  parameters {
    // begin: written by `rollback jenkins render`, from the library's own schema
    stringParam { name('ENVIRONMENT'); defaultValue(''); description('Which environment of the settings; may be left out when there is one.'); trim(true) }
    choiceParam('ACTION', ['roll back', 'resume', 'undo', 'reopen traffic', 'free the lock'], 'Roll back, or the way on after a run that stopped.')
    stringParam { name('RUN'); defaultValue(''); description('Which run to resume or undo; without it the last one that the cluster knows.'); trim(true) }
    stringParam { name('RELEASE'); defaultValue('last-good'); description('The release to go back to, or last-good.'); trim(true) }
    stringParam { name('SERVICES'); defaultValue(''); description('Only this service, separated by blanks.'); trim(true) }
    textParam('REASON', '', 'Why, for the incident.')
    choiceParam('ISOLATE', ['', 'true', 'false'], 'Close traffic while the shop is changed, or not.')
    booleanParam('DRY_RUN', false, 'Only look: end after preflight.')
    stringParam { name('ACCEPT'); defaultValue(''); description('Accept a refusal: CODE[:NAME], separated by blanks.'); trim(true) }
    stringParam { name('UPSTREAM_JOB'); defaultValue(''); description('The deploy job that failed; it is asked itself.'); trim(true) }
    stringParam { name('UPSTREAM_BUILD'); defaultValue(''); description('The number of its failed build.'); trim(true) }
    stringParam { name('REQUEST_ID'); defaultValue(''); description('Of an automatic rollback; the same one never runs twice.'); trim(true) }
    // end: written by `rollback jenkins render`
  }
  definition {
    cpsScm {
      lightweight(true)
      scriptPath('Jenkinsfile.rollback')
      scm {
        git {
          remote { url('https://git.example.com/shop.git') }
          branch('*/main')
          extensions { cloneOptions { shallow(false); noTags(false); honorRefspec(false) } }
        }
      }
    }
  }
}
