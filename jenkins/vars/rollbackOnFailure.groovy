// For the deploy job: what is deployed is written down before the first kubectl, and a deploy that fails after that
// starts the rollback job with pointers to this build. In a Jenkinsfile with this library:
//
//   post { failure { rollbackOnFailure(job: 'shop/rollback', environment: 'prod') } }
//
// with, in the deploy stage, as its first step: rollbackOnFailure.deploys(application: 'shop', environment: 'prod').

/** Archive the evidence. On the agent that deploys, before it changes anything. */
def deploys(Map given) {
  def commit = env.GIT_COMMIT ?: ''
  def text = """{"application": "${word(given.application)}", "environment": "${word(given.environment)}", "started": true, "commit": "${word(commit)}"}"""
  writeFile file: 'rollback-evidence.json', encoding: 'UTF-8', text: text
  archiveArtifacts artifacts: 'rollback-evidence.json', fingerprint: true
  env.ROLLBACK_DEPLOY_STARTED = 'true'
}

/** Start the rollback and wait for it. Outside of `lock` and without a node: the rollback takes both itself. */
def call(Map given) {
  if (env.ROLLBACK_DEPLOY_STARTED != 'true') {
    echo 'rollbackOnFailure: this build changed nothing in the cluster, so there is nothing to roll back.'
    return
  }
  if (params.UPSTREAM_JOB) {
    echo 'rollbackOnFailure: a rollback started this build; it is not rolled back by itself.'
    return
  }
  currentBuild.result = 'FAILURE' // a good rollback does not make this deploy a good one
  def run = build(job: given.job, wait: true, propagate: false, parameters: [
    string(name: 'ENVIRONMENT', value: given.environment),
    string(name: 'RELEASE', value: given.release ?: 'last-good'),
    booleanParam(name: 'DRY_RUN', value: false),
    text(name: 'REASON', value: "The deploy ${env.JOB_NAME} ${env.BUILD_NUMBER} failed."),
    string(name: 'UPSTREAM_JOB', value: env.JOB_NAME),
    string(name: 'UPSTREAM_BUILD', value: env.BUILD_NUMBER),
    string(name: 'REQUEST_ID', value: "${env.BUILD_TAG}".replaceAll('[^A-Za-z0-9._-]', '-')),
  ])
  echo "rollbackOnFailure: ${given.job} ${run.number} ended with ${run.result}"
}

/** A name or a commit as JSON can hold it without escapes. */
def word(value) {
  def text = "${value}".toString()
  if (!(text ==~ /[A-Za-z0-9._\/-]*/)) {
    error("rollbackOnFailure: '${text}' cannot be a name")
  }
  return text
}
