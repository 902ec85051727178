// Runs Jenkinsfiles on Jenkins's own CPS engine. One JVM for many builds: a request a line on stdin, events on stdout.
// What a step does is decided by the other side (controller.py); here are only the language and the declarative order.
import com.cloudbees.groovy.cps.Continuable
import com.cloudbees.groovy.cps.Continuation
import com.cloudbees.groovy.cps.CpsTransformer
import com.cloudbees.groovy.cps.Outcome
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.MultipleCompilationErrorsException

class AbortException extends Exception { AbortException(String said) { super(said) } }
class FlowInterruptedException extends Exception { FlowInterruptedException(String said) { super(said) } }

/** The other side. Every call is a line out and a line back. */
class Host implements Serializable {
  static final String KILLED = 'killed'
  static BufferedReader input
  static PrintStream output

  static Object call(String what, Object args) {
    output.println(JsonOutput.toJson([event: what, args: plain(args)]))
    output.flush()
    String line = input.readLine()
    if (line == null) System.exit(3)
    Map answer = (Map) new JsonSlurper().parseText(line)
    if (answer.error == 'killed') return Continuable.suspend(KILLED) // nothing of the build runs any more: no catch, no post
    if (answer.error == 'interrupted') throw new FlowInterruptedException((String) answer.message)
    if (answer.error) throw new AbortException((String) answer.message)
    return answer.value
  }

  static Object plain(Object value) {
    if (value instanceof GString) return value.toString()
    if (value instanceof Map) return value.collectEntries { k, v -> [(k.toString()): plain(v)] }
    if (value instanceof Collection || value instanceof Object[]) return value.collect { plain(it) }
    return value == null || value instanceof Number || value instanceof Boolean ? value : value.toString()
  }
}

class Env implements Serializable {
  Object getProperty(String name) { Host.call('env.get', [name]) }
  void setProperty(String name, Object value) { Host.call('env.set', [name, value]) }
}

class CurrentBuild implements Serializable {
  Object getProperty(String name) { Host.call('build.get', [name]) }
  void setProperty(String name, Object value) { Host.call('build.set', [name, value]) }
  Object getBuildCauses(String type) { Host.call('build.causes', [type]) }
}

/** The script's own class: what is not a method of the file is a step, a library's step, or unknown. */
abstract class Steps extends Script implements Serializable {
  static Object interpreter
  static Map<String, Object> library = [:]
  static Map params = [:]
  static Map declared = [:] // what `params` holds once the pipeline's own properties are the job's
  static Map scm = [:]
  private static final List<String> DESCRIBING = ['string', 'booleanParam', 'choice', 'text', 'file', 'usernamePassword',
    'logRotator', 'credentials', 'scmGit', 'cloneOption']

  Object invokeMethod(String name, Object args) {
    Object[] given = args instanceof Object[] ? args : [args] as Object[]
    if (name == 'pipeline') {
      params = declared
      return interpreter.pipeline(given[0])
    }
    if (Steps.library.containsKey(name)) return Steps.library[name].call(*given)
    Object last = given ? given[-1] : null
    if (last instanceof Closure) return interpreter.block(name, (given as List).subList(0, given.length - 1), last)
    if (name in DESCRIBING) return [step: name, args: given ? given[0] : null]
    return Host.call('step', [name, given as List])
  }

  Object getProperty(String name) {
    switch (name) {
      case 'env': return new Env()
      case 'params': return params
      case 'currentBuild': return new CurrentBuild()
      case 'scm': return scm
    }
    if (getBinding().hasVariable(name)) return getBinding().getVariable(name)
    if (Steps.library.containsKey(name)) return Steps.library[name]
    Object value = Host.call('env.get', [name])
    if (value == null) throw new MissingPropertyException(name, getClass())
    return value
  }
}

class Engine {
  static Class load(File file, boolean rules) {
    CompilerConfiguration configuration = new CompilerConfiguration()
    configuration.addCompilationCustomizers(new CpsTransformer())
    configuration.scriptBaseClass = Steps.name
    if (rules) configuration.addCompilationCustomizers(new Declarative(Rules.steps))
    return new GroovyClassLoader(Engine.classLoader, configuration).parseClass(file.getText('UTF-8'), file.name)
  }

  static void play(Map request, File here) {
    Steps.declared = (Map) request.params
    Steps.params = request.first_build ? [:] : Steps.declared
    Steps.scm = (Map) request.scm
    Rules.steps = (List) request.steps
    Steps.library = [:]
    Steps.interpreter = load(new File(here, 'Interpreter.groovy'), false).newInstance()
    for (String path in request.library) {
      File file = new File(path)
      Steps.library[file.name.replace('.groovy', '')] = load(file, true).newInstance()
    }
    Script script = (Script) load(new File((String) request.file), request.rules != false).newInstance()
    if (request.only_rules) return
    Outcome end
    try {
      script.run()
      return
    } catch (CpsCallableInvocation first) {
      end = new Continuable(first.invoke(null, null, Continuation.HALT)).run0(new Outcome(null, null), Continuable.categories)
    }
    if (end.abnormal != null) throw end.abnormal
  }

  static void main(String[] arguments) {
    Host.input = new BufferedReader(new InputStreamReader(System.in, 'UTF-8'))
    Host.output = new PrintStream(new FileOutputStream(FileDescriptor.out), true, 'UTF-8')
    System.out = System.err // nothing but events on stdout
    File here = new File(arguments[0])
    Host.output.println('{"event": "ready"}')
    String line
    while ((line = Host.input.readLine()) != null) {
      Map end = [event: 'end']
      try {
        play((Map) new JsonSlurper().parseText(line), here)
      } catch (MultipleCompilationErrorsException problem) {
        end.rules = problem.errorCollector.errors.collect { it.cause.message }
      } catch (AbortException | FlowInterruptedException problem) {
        end.error = problem.message // the build's result has it already
      } catch (Throwable problem) {
        StringWriter text = new StringWriter()
        problem.printStackTrace(new PrintWriter(text))
        end.crash = text.toString()
      }
      Host.output.println(JsonOutput.toJson(end))
    }
  }
}
