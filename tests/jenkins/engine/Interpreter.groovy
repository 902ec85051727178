// The order of a declarative pipeline, in code that CPS runs like any Jenkinsfile: `when` before options, options, `when`
// before input, input, `when` before agent, agent, `when`, environment, steps, post (pipeline-model-definition,
// ModelInterpreter.groovy). What `options` and `input` say was evaluated already, when the model was made.
def pipeline(Map model) {
  Throwable failure = null
  enter('pipeline', [:])
  try {
    List layers = [[name: 'agent', agent: model.agent], [name: 'environment', values: model.environment]] + model.options
    within(layers, 0) {
      Throwable inner = null
      try {
        sequence(model.stages)
      } catch (Throwable problem) {
        inner = problem
        Host.call('failed', [problem.getClass().simpleName, problem.message])
      }
      inner = after(model.post, inner) // with the environment and the agent of the pipeline, as ModelInterpreter does
      if (inner != null) { throw inner }
    }
  } catch (Throwable problem) {
    failure = problem
    Host.call('failed', [problem.getClass().simpleName, problem.message])
  }
  leave('pipeline')
  if (failure != null) { throw failure }
}

def sequence(List stages) {
  Throwable failure = null
  for (int i = 0; i < stages.size(); i++) {
    if (failure != null) {
      passedOver(stages[i])
      continue
    }
    try { stage(stages[i]) } catch (Throwable problem) { failure = problem }
  }
  if (failure != null) { throw failure }
}

/** A stage behind one that failed: it is there, and none of it runs. */
def passedOver(Map it) {
  Host.call('passed_over', [it.name])
  for (int i = 0; i < it.stages.size(); i++) { passedOver(it.stages[i]) }
}

def stage(Map it) {
  Throwable failure = null
  boolean entered = false
  enter('stage', [name: it.name])
  try {
    if (wanted(it, 'beforeOptions')) {
      within(it.options, 0) {
        if (!wanted(it, 'beforeInput')) { return }
        within([[name: 'answers', answers: asked(it.input)]], 0) {
          if (!wanted(it, 'beforeAgent')) { return }
          within([[name: 'agent', agent: it.agent]], 0) {
            if (!wanted(it, 'at last')) { return }
            within([[name: 'environment', values: it.environment]], 0) {
              entered = true
              Throwable inner = null
              try {
                if (it.steps != null) { it.steps() } else { sequence(it.stages) }
              } catch (Throwable problem) {
                inner = problem
                Host.call('failed', [problem.getClass().simpleName, problem.message])
              }
              inner = after(it.post, inner)
              if (inner != null) { throw inner }
            }
          }
        }
      }
    }
    if (!entered) { Host.call('skipped', [it.name]) }
  } catch (Throwable problem) {
    failure = problem
    Host.call('failed', [problem.getClass().simpleName, problem.message])
  }
  leave('stage')
  if (failure != null) { throw failure }
}

/** Whether it goes on, as far as that is asked here: once, at the earliest place that `when` names. */
def wanted(Map it, String here) {
  if (it.asked != here) { return true }
  for (int i = 0; i < it.when.size(); i++) { if (!it.when[i]()) { return false } }
  return true
}

/** The `input` directive; what was answered is in the environment below it. */
def asked(List options) {
  if (options == null) { return [:] }
  Map question = [:]
  for (int i = 0; i < options.size(); i++) { question[options[i].name] = options[i].args[0] }
  Object said = Host.call('step', ['input', [question]])
  if (said instanceof Map) { return said }
  if (question.submitterParameter) { return [(question.submitterParameter): said] }
  return question.parameters ? [(question.parameters[0].args.name): said] : [:]
}

def within(List layers, int at, Closure body) {
  if (at == layers.size()) { return body() }
  Map layer = layers[at]
  String kind = layer.name
  Map given = [:]
  if (kind == 'agent') {
    if (layer.agent == null || layer.agent == 'none') { return within(layers, at + 1, body) }
    kind = 'node'
    given = [label: layer.agent == 'any' ? '' : layer.agent()]
  } else if (kind == 'environment' || kind == 'answers') {
    if (kind == 'environment') {
      for (int i = 0; i < layer.values.size(); i++) { given[layer.values[i].name] = layer.values[i].value() }
    } else { given = layer.answers }
    kind = 'environment'
  } else {
    List arguments = layer.args
    given = arguments && arguments[0] instanceof Map ? arguments[0] : [value: arguments ? arguments[0] : null]
  }
  enter(kind, given)
  try { return within(layers, at + 1, body) } finally { leave(kind) }
}

def after(List post, Throwable failure) {
  List order = ['always', 'changed', 'fixed', 'regression', 'aborted', 'success', 'unsuccessful', 'unstable', 'failure', 'notBuilt', 'cleanup']
  for (int o = 0; o < order.size(); o++) {
    for (int i = 0; i < post.size(); i++) {
      if (post[i].name == order[o] && Host.call('post', [post[i].name, failure == null ? null : failure.getClass().simpleName])) {
        try {
          post[i].steps()
        } catch (Throwable problem) {
          Host.call('failed', [problem.getClass().simpleName, problem.message])
          if (failure == null) { failure = problem }
        }
      }
    }
  }
  return failure
}

def block(String name, List args, Closure body) {
  enter(name, args ? (args[0] instanceof Map ? args[0] : [value: args[0]]) : [:])
  Object value = null
  try {
    value = body()
  } catch (Throwable problem) {
    if (name != 'catchError' || problem.getClass().simpleName == 'FlowInterruptedException') {
      Host.call('failed', [problem.getClass().simpleName, problem.message, name])
      throw problem
    }
    Host.call('caught', [problem.message, args ? args[0] : [:]])
  } finally {
    leave(name)
  }
  return value
}

def enter(String name, Map given) { Host.call('enter', [name, given]) }

def leave(String name) { Host.call('leave', [name]) }
