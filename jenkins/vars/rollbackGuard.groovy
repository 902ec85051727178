// For the deploy job: a deploy that waits for no rollback, and that no rollback runs into. On the agent that deploys,
// in the repository, with `rollback` on the PATH and the kubeconfig bound:
//
//   rollbackGuard(environment: 'prod', release: 'v1.3.0') { sh './deploy.sh' }
//
// The lock is the rollback's own, in the cluster: it holds between controllers and shells too.

/** Run the block while this deploy holds the lock; the build fails where a rollback has it. `wait` such as '10m'. */
def call(Map given, Closure deploy) {
  withEnv(["ROLLBACK_ENVIRONMENT=${word(given.environment)}", "ROLLBACK_RELEASE=${word(given.release)}",
           "ROLLBACK_WAIT=${word(given.wait ?: '')}", 'ROLLBACK_PARAMETERS=']) {
    if (isUnix()) { sh 'rollback guard --hold' } else { bat 'rollback guard --hold' }
    try {
      deploy()
    } finally {
      if (isUnix()) { sh 'rollback guard --done' } else { bat 'rollback guard --done' }
    }
  }
}

/** A name as neither shell nor Jenkins expands it. */
def word(value) {
  def text = "${value}".toString()
  if (!(text ==~ /[A-Za-z0-9._\/-]*/)) {
    error("rollbackGuard: '${text}' cannot be a name")
  }
  return text
}
