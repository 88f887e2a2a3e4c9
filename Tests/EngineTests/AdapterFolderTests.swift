// Apache-2.0.
import Codecs
import Execution
import FineTuning
import GraphCompiler
import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

@Suite("Adapters read from a folder")
struct AdapterFolderTests {
  /// A trained adapter in `folder`, and the loss of the model that trained it.
  private func train(
    _ name: String,
    _ scheme: String,
    into folder: String,
    head: ModelHead? = nil,
    labels: [String]? = nil
  ) throws -> Float {
    let model = try LoadedModel(
      ModelRequest(directory: Golden.folder(name), head: head, scheme: UpdateScheme(scheme))
    )
    let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: 1), perturbs: false)
    let trainer = GradientTrainer(workspace, optimizer: .adamW())
    let examples = try GoldenGradients(name).examples
    for _ in 0..<4 { _ = try trainer.step(examples, rows: 3, rate: 0.02) }
    try workspace.exportAdapter(to: folder, base: Golden.folder(name), labels: labels)
    return try trainer.loss(examples, rows: 3)
  }

  private func loss(_ model: LoadedModel, _ name: String) throws -> Float {
    let workspace = try TrainerWorkspace(model, team: ThreadTeam(threads: 1), perturbs: false)
    return try GradientTrainer(workspace, optimizer: .sgd())
      .loss(try GoldenGradients(name).examples, rows: 3)
  }

  @Test(
    "Compute what they computed when they were written, with the modules beside them",
    arguments: [
      ("llama", "lora:rank=2,alpha=8"), ("llama", "lora:rank=2,targets=q_proj,last=1+head"),
      ("gpt2", "lora:rank=3,targets=c_attn+weights:*wpe.weight"), ("bert-classes", "lora:rank=2"),
      ("llama-tied-bf16", "lora:rank=2"), ("gpt2-classes", "lora:rank=2+head"),
    ]
  )
  func same(name: String, scheme: String) throws {
    try withTemporaryFolder { folder in
      let wanted = try train(name, scheme, into: folder)
      let model = try LoadedModel(
        ModelRequest(directory: Golden.folder(name), adapter: folder)
      )
      #expect(model.newTensors.isEmpty)
      #expect(model.parameterCount == 0)
      let found = try loss(model, name)
      #expect(abs(found - wanted) <= 1e-6 * wanted, "\(found), \(wanted)")
      let plain = try loss(LoadedModel(ModelRequest(directory: Golden.folder(name))), name)
      #expect(abs(plain - wanted) > 1e-3 * wanted)
    }
  }

  @Test("A new head comes with its adapter, and its labels too")
  func head() throws {
    try withTemporaryFolder { folder in
      let labels = ["a", "b", "c", "d"]
      let wanted = try train(
        "bert-classes",
        "lora:rank=2+head",
        into: folder,
        head: .classifier(classes: 4),
        labels: labels
      )
      let model = try LoadedModel(
        ModelRequest(directory: Golden.folder("bert-classes"), adapter: folder)
      )
      #expect(model.head == .classifier(classes: 4))
      #expect(model.labels == labels)
      #expect(abs(try loss(model, "bert-classes") - wanted) <= 1e-6 * wanted)
    }
  }

  @Test("A head that stays keeps its labels under a new adapter; another count of classes is new")
  func labels() throws {
    let stored = ModelRequest(
      directory: Golden.folder("bert-classes"),
      scheme: try UpdateScheme("lora:rank=2+head")
    )
    #expect(try LoadedModel(stored).labels?.count == 5)
    let other = try LoadedModel(
      ModelRequest(directory: Golden.folder("bert-classes"), head: .classifier(classes: 3))
    )
    #expect(other.labels == nil)
    #expect(other.newTensors == ["classifier.weight", "classifier.bias"])
  }

  @Test("Adapters of another base or another kind are refused in words")
  func refused() throws {
    try withTemporaryFolder { folder in
      func open(_ name: String) throws -> LoadedModel {
        try LoadedModel(ModelRequest(directory: Golden.folder(name), adapter: folder))
      }
      func reason(_ name: String) throws -> String {
        let error = try #require(throws: FineTuningError.self) { try open(name) }
        return "\(error)"
      }
      #expect(try reason("llama").contains("adapter_config.json"))
      _ = try train("llama", "lora:rank=2", into: folder)
      #expect(throws: Never.self) { try open("llama") }
      #expect(try reason("bert-classes").contains("of another base"))
      #expect(try reason("llama3-rope").contains("shape"))
      let path = "\(folder)/adapter_config.json"
      let written = try ModelFolder.json(path)
      for (key, value) in [
        ("use_dora", JSONValue.bool(true)), ("peft_type", .string("IA3")), ("r", .integer(0)),
        ("rank_pattern", .object([.init("q_proj", .integer(4))])),
      ] {
        guard case .object(var members) = written else { return }
        members.removeAll { $0.key == key }
        members.append(.init(key, value))
        try ModelFolder.write(Array(JSONValue.object(members).serialized().utf8), to: path)
        #expect(try reason("llama").contains(key), "\(key)")
      }
    }
  }
}
