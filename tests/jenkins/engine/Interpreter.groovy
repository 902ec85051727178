// The order of a declarative pipeline, in code that CPS runs like any Jenkinsfile: options, `when` before input, input,
// `when` before agent, agent, `when`, steps, post (pipeline-model-definition, ModelInterpreter.groovy).
def pipeline(Map model) {
  Throwable failure = null
  enter('pipeline', [:])
  try {
    List layers = model.options.collect { it } + [[name: 'environment', values: model.environment], [name: 'agent', agent: model.agent]]
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
  for (int i = 0; i < stages.size(); i++) { stage(stages[i]) }
}

def stage(Map it) {
  Throwable failure = null
  boolean entered = false
  enter('stage', [name: it.name])
  try {
    within(it.options, 0) {
      if (it.beforeInput && !wanted(it)) { return }
      Map answers = [:]
      if (it.input != null) {
        Map question = [:]
        for (int i = 0; i < it.input.size(); i++) { question[it.input[i].name] = it.input[i].args()[0] }
        answers = Host.call('step', ['input', [question + [directive: true]]])
      }
      if (it.beforeAgent && !it.beforeInput && !wanted(it)) { return }
      within([[name: 'agent', agent: it.agent], [name: 'environment', values: it.environment], [name: 'answers', answers: answers]], 0) {
        if (!it.beforeAgent && !it.beforeInput && !wanted(it)) { return }
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
    if (!entered) { Host.call('skipped', [it.name]) }
  } catch (Throwable problem) {
    failure = problem
    Host.call('failed', [problem.getClass().simpleName, problem.message])
  }
  leave('stage')
  if (failure != null) { throw failure }
}

def wanted(Map it) {
  for (int i = 0; i < it.when.size(); i++) { if (!it.when[i]()) { return false } }
  return true
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
    List arguments = layer.args()
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
