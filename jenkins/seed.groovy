// Job DSL: the same job as config.xml. `make jenkins` writes its parameters; change the address and the branch.
pipelineJob('rollback') {
  description("Rolls a release back as the team's plan says.")
  properties {
    disableConcurrentBuilds { abortPrevious(false) }
    buildDiscarder { strategy { logRotator { daysToKeepStr('-1'); numToKeepStr('100'); artifactDaysToKeepStr('-1'); artifactNumToKeepStr('-1') } } }
  }
  parameters {
    // begin: written by `rollback jenkins render`, from the library's own schema
    stringParam('ENVIRONMENT', '', 'Which environment of the settings; may be left out when there is one.')
    stringParam('RELEASE', 'last-good', 'The release to go back to, or last-good.')
    stringParam('SERVICES', '', 'Only this service, separated by blanks.')
    textParam('REASON', '', 'Why, for the incident.')
    choiceParam('ISOLATE', ['', 'true', 'false'], 'Close traffic while the shop is changed, or not.')
    booleanParam('DRY_RUN', false, 'Only look: end after preflight.')
    stringParam('ACCEPT', '', 'Accept a refusal: CODE[:NAME], separated by blanks.')
    stringParam('UPSTREAM_JOB', '', 'The deploy job that failed; it is asked itself.')
    stringParam('UPSTREAM_BUILD', '', 'The number of its failed build.')
    stringParam('REQUEST_ID', '', 'Of an automatic rollback; the same one never runs twice.')
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
