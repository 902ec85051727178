// What Jenkins's validator and a few rules of this project refuse (tests/jenkins/RULES.md), and the model that the interpreter runs.
import org.codehaus.groovy.ast.*
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.stmt.*
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.control.CompilePhase
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.control.customizers.CompilationCustomizer
import org.codehaus.groovy.control.messages.SyntaxErrorMessage
import org.codehaus.groovy.syntax.SyntaxException

class Rules {
  static List steps = [] // those that the other side can do
  static final Set PIPELINE = ['agent', 'options', 'parameters', 'environment', 'stages', 'post', 'triggers', 'tools', 'libraries']
  static final Set STAGE = ['agent', 'options', 'environment', 'when', 'input', 'tools', 'steps', 'stages', 'parallel', 'matrix', 'post', 'failFast']
  static final Set AGENT = ['any', 'none', 'label', 'node', 'docker', 'dockerfile', 'kubernetes']
  static final Set STAGE_OPTIONS = ['skipDefaultCheckout', 'timeout', 'retry', 'timestamps', 'lock', 'catchError', 'warnError', 'withCredentials', 'ansiColor']
  static final Set OPTIONS = STAGE_OPTIONS + ['disableConcurrentBuilds', 'preserveStashes', 'disableRestartFromStage', 'buildDiscarder', 'quietPeriod',
    'disableResume', 'durabilityHint', 'newContainerPerStage', 'overrideIndexTriggers', 'parallelsAlwaysFailFast', 'rateLimitBuilds', 'copyArtifactPermission']
  static final Set PARAMETERS = ['string', 'booleanParam', 'choice', 'text', 'password', 'file']
  static final Set POST = ['always', 'changed', 'fixed', 'regression', 'aborted', 'success', 'unsuccessful', 'unstable', 'failure', 'notBuilt', 'cleanup']
  static final Set INPUT = ['message', 'id', 'ok', 'submitter', 'submitterParameter', 'parameters']
  static final Set WHEN = ['expression', 'branch', 'buildingTag', 'changelog', 'changeset', 'changeRequest', 'environment', 'equals', 'tag', 'triggeredBy', 'not', 'allOf', 'anyOf', 'isRestartedRun']
  static final Set BEFORE = ['beforeInput', 'beforeAgent', 'beforeOptions']
  static final Set SCRIPT_ONLY = ['stage', 'properties', 'parallel']
  static final Set SHELLS = ['sh', 'bat', 'powershell', 'pwsh']
  // Methods on values that Jenkins's script security lets a pipeline call (its generic and jenkins whitelists).
  static final Set WHITELISTED = ['split', 'trim', 'indexOf', 'substring', 'startsWith', 'endsWith', 'contains', 'isEmpty', 'size', 'join', 'replace', 'replaceAll', 'take', 'deploys',
    'toString', 'add', 'get', 'put', 'containsKey', 'plus', 'getBuildCauses', 'getMessage', 'equals', 'toInteger', 'readLines', 'tokenize', 'call']
}

class Declarative extends CompilationCustomizer {
  private final List steps
  private SourceUnit source
  private Set methods
  private final Set names = []
  private final List around = [] // of the stages that one stands in: [executor: …, lock: …]

  Declarative(List steps) { super(CompilePhase.CONVERSION); this.steps = steps }

  void call(SourceUnit source, GeneratorContext context, ClassNode type) {
    if (!source.AST.classes || type != source.AST.classes[0]) return
    this.source = source
    methods = (source.AST.methods*.name + source.AST.methods.collectMany { it.parameters*.name }) as Set // a block that was given is called too
    List top = source.AST.statementBlock.statements
    List found = top.findAll { callOf(it)?.methodAsString == 'pipeline' }
    if (found.size() > 1) no(found[1], 'Only one pipeline { ... } block is allowed')
    if (found) {
      MethodCallExpression pipeline = callOf(found[0])
      Expression model = pipelineModel(pipeline)
      source.AST.statementBlock.statements[top.indexOf(found[0])] = new ExpressionStatement(callTo('pipeline', new ArgumentListExpression([model])))
    }
    OwnRules own = new OwnRules(this)
    source.AST.statementBlock.statements.each { it.visit(own) }
    source.AST.methods.each { it.code.visit(own) }
    Questions elsewhere = new Questions(null)
    if (found) source.AST.methods.each { it.code.visit(elsewhere) }
    elsewhere.found.each { at, blocks -> no(at, 'asks in a function, where nobody sees whether its stage has a timeout: ask in the stage') }
  }

  void no(ASTNode at, String text) {
    source.errorCollector.addErrorAndContinue(new SyntaxErrorMessage(new SyntaxException(text, at.lineNumber, at.columnNumber), source))
  }

  // --- sections
  private Expression pipelineModel(MethodCallExpression call) {
    Map parts = sections(call, Rules.PIPELINE, 'section')
    if (!parts.stages) no(call, 'Missing required section "stages"')
    if (!parts.agent) no(call, 'Missing required section "agent"')
    options(parts.options, Rules.OPTIONS).each { MethodCallExpression option -> if (option.methodAsString == 'lock') no(option, 'lock holds for the whole run, while people think: put it on a stage') }
    if (parts.parameters) parameters(parts.parameters)
    around << [executor: takes(parts.agent), lock: false]
    return map(agent: agent(parts.agent), options: described(parts.options), environment: environment(parts.environment), stages: stages(parts.stages), post: post(parts.post))
  }

  private Expression stages(MethodCallExpression call) {
    if (!call) return new ListExpression()
    List found = body(call).collect { Statement it ->
      MethodCallExpression one = callOf(it)
      if (one?.methodAsString != 'stage') { no(it, 'Expected a stage'); return null }
      stageModel(one)
    }.findAll()
    if (!found) no(call, 'No stages specified')
    return new ListExpression(found)
  }

  private Expression stageModel(MethodCallExpression call) {
    List args = call.arguments.expressions
    String name = args && args[0] instanceof ConstantExpression ? args[0].value : ''
    if (!name) no(call, 'Stage does not have a name: a literal string is needed')
    if (!names.add(name)) no(call, "Duplicate stage name: \"${name}\"")
    Map parts = sections(call, Rules.STAGE, 'section')
    List bodies = ['steps', 'stages', 'parallel', 'matrix'].findAll { parts[it] }
    if (bodies.size() != 1) no(call, "Expected one of \"steps\", \"stages\", \"parallel\", or \"matrix\" for stage \"${name}\"")
    ['parallel', 'matrix', 'tools', 'failFast'].each { if (parts[it]) no(parts[it], "${it} is not run by this engine") }
    List given = options(parts.options, Rules.STAGE_OPTIONS)
    Set wraps = given*.methodAsString as Set
    Questions questions = new Questions(parts.input)
    if (parts.steps) { steps(parts.steps); closureOf(parts.steps).code.visit(questions) }
    questions.found.each { MethodCallExpression at, List blocks ->
      if (!('timeout' in wraps + blocks)) no(at, "stage \"${name}\" asks without a timeout")
      if ('lock' in wraps + blocks || around.any { it.lock }) no(at, "stage \"${name}\" holds a lock while a person thinks")
      boolean own = at != parts.input && takes(parts.agent) // the directive asks before it takes its own agent
      if ('node' in blocks || own || around.any { it.executor }) no(at, "stage \"${name}\" holds an executor while a person thinks")
    }
    Map when = whenOf(parts.when)
    around << [executor: takes(parts.agent), lock: 'lock' in wraps]
    Expression nested = stages(parts.stages)
    around.remove(around.size() - 1)
    return map(name: new ConstantExpression(name), agent: agent(parts.agent), options: described(parts.options), environment: environment(parts.environment),
      when: new ListExpression(when.conditions), asked: new ConstantExpression(['beforeOptions', 'beforeInput', 'beforeAgent'].find { when.before.contains(it) } ?: 'at last'),
      input: parts.input ? input(parts.input) : ConstantExpression.NULL,
      steps: parts.steps ? closureOf(parts.steps) : ConstantExpression.NULL, stages: nested, post: post(parts.post))
  }

  /** Whether this `agent` section holds an executor. */
  private static boolean takes(MethodCallExpression agent) {
    Expression given = agent?.arguments?.expressions?.find()
    return agent != null && !(given instanceof VariableExpression && given.name == 'none')
  }

  private List options(MethodCallExpression call, Set known) {
    if (!call) return []
    List found = body(call).collect { Statement it ->
      MethodCallExpression one = callOf(it)
      if (!one || !known.contains(one.methodAsString)) { no(it, "Invalid option type \"${one?.methodAsString ?: it.text}\". Valid option types: ${known.sort()}"); return null }
      one
    }.findAll()
    found.groupBy { it.methodAsString }.each { name, many -> if (many.size() > 1) no(many[1], "Duplicate option name: \"${name}\"") }
    return found
  }

  private void parameters(MethodCallExpression call) {
    Set seen = []
    body(call).each { Statement it ->
      MethodCallExpression one = callOf(it)
      if (!one || !Rules.PARAMETERS.contains(one.methodAsString)) { no(it, "Invalid parameter type \"${one?.methodAsString}\""); return }
      Map given = named(one)
      if (!(given.name instanceof ConstantExpression)) no(it, 'A parameter needs a literal name')
      else if (!seen.add(given.name.value)) no(it, "Duplicate parameter name: \"${given.name.value}\"")
      given.each { key, value -> if (!(value instanceof ConstantExpression || value instanceof ListExpression)) no(it, "parameter ${key} is not a literal") }
    }
  }

  private Expression agent(MethodCallExpression call) {
    if (!call) return ConstantExpression.NULL
    List args = call.arguments.expressions
    if (args.size() == 1 && args[0] instanceof VariableExpression && args[0].name in ['any', 'none']) return new ConstantExpression(args[0].name)
    if (args.size() == 1 && args[0] instanceof ClosureExpression) {
      List inner = body(call)
      if (inner.size() != 1) no(call, 'Only one agent type is allowed per agent section')
      MethodCallExpression one = inner ? callOf(inner[0]) : null
      if (one && Rules.AGENT.contains(one.methodAsString)) {
        if (one.methodAsString != 'label') no(one, "agent ${one.methodAsString} is not run by this engine")
        return closure(new ExpressionStatement(one.arguments.expressions[0]))
      }
    }
    no(call, "Invalid agent type. Legal agent types: ${Rules.AGENT.sort()}")
    return ConstantExpression.NULL
  }

  private Expression environment(MethodCallExpression call) {
    if (!call) return new ListExpression()
    return new ListExpression(body(call).collect { Statement it ->
      Expression e = it instanceof ExpressionStatement ? it.expression : null
      if (!(e instanceof BinaryExpression) || e.operation.text != '=' || !(e.leftExpression instanceof VariableExpression)) { no(it, 'Expected name=value pairs in environment'); return null }
      if (e.rightExpression instanceof GStringExpression && e.rightExpression.text.contains('params')) no(it, 'a parameter in environment is expanded once more by Jenkins')
      map(name: new ConstantExpression(e.leftExpression.name), value: closure(new ExpressionStatement(e.rightExpression)))
    }.findAll())
  }

  private Expression input(MethodCallExpression call) {
    Set given = body(call).collect { callOf(it)?.methodAsString } as Set
    (given - Rules.INPUT).each { no(call, "Invalid input option \"${it}\"") }
    if (!given.contains('message')) no(call, 'Missing required parameter: "message"')
    return described(call, true)
  }

  private Map whenOf(MethodCallExpression call) {
    List conditions = []
    Set before = []
    if (call) body(call).each { Statement it ->
      MethodCallExpression one = callOf(it)
      String name = one?.methodAsString
      if (Rules.BEFORE.contains(name)) before << name
      else if (!Rules.WHEN.contains(name)) no(it, "Unknown conditional ${name}. Valid conditionals are: ${Rules.WHEN.sort()}")
      else if (name != 'expression') no(it, "when ${name} is not run by this engine")
      else conditions << closureOf(one)
    }
    if (call && !conditions) no(call, 'Empty when closure, remove the property or add some content')
    return [conditions: conditions, before: before]
  }

  private Expression post(MethodCallExpression call) {
    if (!call) return new ListExpression()
    List found = body(call).collect { Statement it ->
      MethodCallExpression one = callOf(it)
      if (!one || !Rules.POST.contains(one.methodAsString)) { no(it, "Invalid condition \"${one?.methodAsString}\" - valid conditions are ${Rules.POST.sort()}"); return null }
      steps(one)
      map(name: new ConstantExpression(one.methodAsString), steps: closureOf(one))
    }.findAll()
    if (!found) no(call, 'post can not be empty')
    return new ListExpression(found)
  }

  private void steps(MethodCallExpression call) {
    List inner = body(call)
    if (!inner) no(call, 'No steps specified for branch')
    inner.each { Statement it ->
      MethodCallExpression one = callOf(it)
      if (!one) { no(it, 'Expected a step'); return }
      String name = one.methodAsString
      if (Rules.SCRIPT_ONLY.contains(name)) no(it, "Invalid step \"${name}\" used - not allowed in this context")
      if ((Rules.STAGE + Rules.POST - ['input', 'parallel', 'stages']).contains(name)) no(it, "Invalid step \"${name}\": a directive outside its place")
      boolean last = one.arguments.expressions && one.arguments.expressions[-1] instanceof ClosureExpression
      if (last && name != 'script') steps(one)
    }
  }

  // --- shapes
  private Map sections(MethodCallExpression call, Set known, String what) {
    Map found = [:]
    body(call).each { Statement it ->
      MethodCallExpression one = callOf(it)
      String name = one?.methodAsString
      if (!name || !known.contains(name)) { no(it, "Undefined ${what} \"${name ?: it.text}\""); return }
      if (found[name]) no(it, "Multiple occurrences of the ${name} section")
      found[name] = one
    }
    return found
  }

  /** Values, not closures: Jenkins evaluates them where it makes the model. `texts`: and makes texts of them there. */
  private Expression described(MethodCallExpression call, boolean texts = false) {
    if (!call) return new ListExpression()
    return new ListExpression(body(call).collect { callOf(it) }.findAll().collect { MethodCallExpression one ->
      Expression args = one.arguments
      List given = args instanceof TupleExpression ? args.expressions.collect { it instanceof NamedArgumentListExpression ? new MapExpression(it.mapEntryExpressions) : it } : [args]
      if (texts && closureOf(one)) given = [new ListExpression(body(one).collect { callOf(it) }.findAll())]
      else if (texts) given = given.collect { new CastExpression(ClassHelper.STRING_TYPE, it) }
      map(name: new ConstantExpression(one.methodAsString), args: new ListExpression(given))
    })
  }

  /** `name …` or `name(…)` on nothing but the script itself. A chain such as `when {…} steps {…}` is none. */
  static MethodCallExpression callOf(Statement it) {
    Expression e = it instanceof ExpressionStatement || it instanceof ReturnStatement ? it.expression : null
    return e instanceof MethodCallExpression && e.implicitThis ? e : null
  }

  private List body(MethodCallExpression call) {
    ClosureExpression closure = closureOf(call)
    if (!closure) { no(call, "Expected a block for ${call.methodAsString}"); return [] }
    return closure.code instanceof BlockStatement ? closure.code.statements : [closure.code]
  }

  static ClosureExpression closureOf(MethodCallExpression call) {
    List args = call.arguments instanceof TupleExpression ? call.arguments.expressions : []
    return (ClosureExpression) args.find { it instanceof ClosureExpression }
  }

  private static Map named(MethodCallExpression call) {
    Map found = [:]
    call.arguments.expressions.each { if (it instanceof MapExpression) it.mapEntryExpressions.each { e -> found[e.keyExpression.text] = e.valueExpression } }
    return found
  }

  private static Expression map(Map parts) {
    new MapExpression(parts.collect { k, v -> new MapEntryExpression(new ConstantExpression(k), (Expression) v) })
  }

  private static ClosureExpression closure(Statement code) {
    ClosureExpression made = new ClosureExpression(Parameter.EMPTY_ARRAY, new BlockStatement([code], new VariableScope()))
    made.variableScope = new VariableScope()
    return made
  }

  private static MethodCallExpression callTo(String name, Expression args) {
    MethodCallExpression made = new MethodCallExpression(VariableExpression.THIS_EXPRESSION, name, args)
    made.implicitThis = true
    return made
  }

  boolean isStep(String name) { steps.contains(name) || methods.contains(name) }
}

/** Where a stage asks a person: by its directive, or by a step, and then within which blocks. */
class Questions extends CodeVisitorSupport {
  final Map<MethodCallExpression, List> found = new IdentityHashMap()
  private final List blocks = []

  Questions(MethodCallExpression directive) { if (directive) found[directive] = [] }

  void visitMethodCallExpression(MethodCallExpression call) {
    if (call.implicitThis && call.methodAsString == 'input') found[call] = blocks.collect()
    blocks << call.methodAsString
    super.visitMethodCallExpression(call)
    blocks.remove(blocks.size() - 1)
  }
}

/** Rules over the whole syntax tree: shells get literals, steps exist, no method that script security refuses. */
class OwnRules extends CodeVisitorSupport {
  private final Declarative file

  OwnRules(Declarative file) { this.file = file }

  void visitMethodCallExpression(MethodCallExpression call) {
    String name = call.methodAsString
    if (call.implicitThis) {
      if (Rules.SHELLS.contains(name)) shell(call)
      if (!file.isStep(name) && name != 'pipeline') file.no(call, "No such DSL method '${name}' found among steps")
      if (name == 'rollback' && !(call.arguments.expressions[0] instanceof ConstantExpression)) file.no(call, 'the words for rollback are not a literal')
    } else if (name == null || !Rules.WHITELISTED.contains(name)) {
      file.no(call, "Scripts not permitted to use method ${name ?: call.method.text}")
    }
    super.visitMethodCallExpression(call)
  }

  void visitStaticMethodCallExpression(StaticMethodCallExpression call) { file.no(call, "Scripts not permitted to use staticMethod ${call.method}") }

  void visitConstructorCallExpression(ConstructorCallExpression call) { file.no(call, "Scripts not permitted to use new ${call.type.name}") }

  private void shell(MethodCallExpression call) {
    List found = []
    call.arguments.expressions.each { Expression it ->
      if (it instanceof MapExpression) it.mapEntryExpressions.each { e -> if (e.keyExpression.text == 'script') found << e.valueExpression }
      else found << it
    }
    found.each { if (!(it instanceof ConstantExpression)) file.no(call, "${call.methodAsString}: the script is not a literal in single quotes") }
  }
}
