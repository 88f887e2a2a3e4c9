// swift-tools-version: 6.2
// The manifest is the architecture document: imports point down the list of targets, and
// `--explicit-target-dependency-import-check error` holds every file to it.
import PackageDescription

/// Settings of every Swift target.
let house: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .enableUpcomingFeature("InferIsolatedConformances"),
  .enableUpcomingFeature("ImmutableWeakCaptures"),
  .enableExperimentalFeature("Lifetimes"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

/// Settings of the C targets: optimised in debug builds too, or tests crawl; no contraction of
/// multiply and add, so that the bits of shared state do not depend on the compiler.
let houseC: [CSetting] = [
  .unsafeFlags(["-O3", "-ffp-contract=off", "-fno-math-errno", "-Wall", "-Werror"]),
  .define("NDEBUG", .when(configuration: .release)),
]

/// A library under `Sources`, or at `path`.
func library(_ name: String, path: String? = nil, _ dependencies: String...) -> Target {
  .target(
    name: name,
    dependencies: dependencies.map { .init(stringLiteral: $0) },
    path: path,
    swiftSettings: house
  )
}

/// A program at `path`.
func program(_ name: String, path: String, _ dependencies: String...) -> Target {
  .executableTarget(
    name: name,
    dependencies: dependencies.map { .init(stringLiteral: $0) },
    path: path,
    swiftSettings: house
  )
}

/// The tests of one module.
func tests(_ name: String, exclude: [String] = [], _ dependencies: String...) -> Target {
  .testTarget(
    name: name,
    dependencies: (dependencies + ["TestSupport"]).map { .init(stringLiteral: $0) },
    exclude: exclude,
    swiftSettings: house
  )
}

let package = Package(
  name: "samara",
  targets: [
    // 0: C, for SIMD kernels and for what the importer cannot see of system headers.
    .target(name: "CKernels", cSettings: houseC, linkerSettings: [.linkedLibrary("m")]),
    .target(name: "CLinux", cSettings: houseC),
    .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),

    // 1
    library("Codecs", "COpenSSL", "CZstd"),
    library("SharedRandomness", "CKernels", "Codecs"),
    library("Telemetry"),
    library("CommandLineTool", "Codecs"),
    library("Reporting"),

    // 2
    library("Tensors", "CKernels", "Codecs"),
    library("WireProtocol", "Codecs", "CZstd"),
    library("RunLedger", "Codecs", "CSQLite"),

    // 3
    library("FederatedCore", "Codecs", "SharedRandomness"),
    library("Transport", "Codecs", "WireProtocol", "Telemetry", "CLinux", "COpenSSL"),
    library("GraphCompiler", "Tensors", "CKernels"),
    library("ModelFiles", "Codecs", "Tensors"),

    // 4
    library(
      "FederatedAlgorithms",
      "FederatedCore",
      "Codecs",
      "SharedRandomness",
      "Tensors",
      "CKernels"
    ),
    library("Execution", "GraphCompiler", "Tensors", "SharedRandomness", "CKernels"),
    library("Models", "GraphCompiler", "ModelFiles", "Codecs", "Tensors"),
    library("Datasets", "ModelFiles", "Codecs", "SharedRandomness"),
    library(
      "FineTuning",
      "Execution",
      "Models",
      "Datasets",
      "FederatedCore",
      "GraphCompiler",
      "ModelFiles",
      "Codecs",
      "Tensors",
      "SharedRandomness"
    ),

    // 5
    library(
      "Coordination",
      path: "Server/Coordination",
      "FineTuning",
      "Tensors",
      "FederatedAlgorithms",
      "FederatedCore",
      "Reporting",
      "RunLedger",
      "Transport",
      "WireProtocol",
      "Datasets",
      "ModelFiles",
      "Codecs",
      "SharedRandomness",
      "Telemetry"
    ),
    library(
      "Participation",
      path: "Client/Participation",
      "FineTuning",
      "Execution",
      "FederatedAlgorithms",
      "FederatedCore",
      "Transport",
      "WireProtocol",
      "Datasets",
      "ModelFiles",
      "Codecs",
      "SharedRandomness",
      "Telemetry"
    ),
    library(
      "SimulatedFederation",
      path: "Simulations/SimulatedFederation",
      "Coordination",
      "Participation",
      "FineTuning",
      "Execution",
      "FederatedAlgorithms",
      "FederatedCore",
      "Reporting",
      "RunLedger",
      "Transport",
      "WireProtocol",
      "Datasets",
      "ModelFiles",
      "Codecs",
      "SharedRandomness",
      "Telemetry"
    ),

    // 6
    program(
      "fedserver",
      path: "Server/fedserver",
      "Coordination",
      "FineTuning",
      "GraphCompiler",
      "Models",
      "ModelFiles",
      "FederatedCore",
      "FederatedAlgorithms",
      "Reporting",
      "RunLedger",
      "Transport",
      "WireProtocol",
      "Codecs",
      "Telemetry",
      "CommandLineTool"
    ),
    program(
      "fedclient",
      path: "Client/fedclient",
      "Participation",
      "FineTuning",
      "FederatedCore",
      "SharedRandomness",
      "Transport",
      "WireProtocol",
      "Datasets",
      "ModelFiles",
      "Models",
      "Execution",
      "GraphCompiler",
      "Tensors",
      "Codecs",
      "Telemetry",
      "CommandLineTool"
    ),
    program(
      "fedsim",
      path: "Simulations/fedsim",
      "SimulatedFederation",
      "Coordination",
      "FineTuning",
      "FederatedAlgorithms",
      "FederatedCore",
      "ModelFiles",
      "Tensors",
      "Reporting",
      "Codecs",
      "Telemetry",
      "CommandLineTool"
    ),
    program(
      "fedbench",
      path: "Simulations/fedbench",
      "SimulatedFederation",
      "Coordination",
      "Participation",
      "FineTuning",
      "Execution",
      "Models",
      "GraphCompiler",
      "ModelFiles",
      "Tensors",
      "SharedRandomness",
      "FederatedCore",
      "FederatedAlgorithms",
      "RunLedger",
      "Transport",
      "WireProtocol",
      "Telemetry",
      "Codecs",
      "CKernels",
      "COpenSSL",
      "CommandLineTool"
    ),

    // Tests: one target a module.
    library("TestSupport", path: "Tests/TestSupport"),
    tests("CodecsTests", "Codecs"),
    tests("KernelTests", exclude: ["aarch64"], "CKernels", "Tensors"),
    tests("SharedRandomnessTests", "SharedRandomness", "Codecs", "CKernels"),
    tests("ModelFilesTests", "ModelFiles", "Codecs", "Tensors"),
    tests(
      "EngineTests",
      "Datasets",
      "Execution",
      "FederatedCore",
      "GraphCompiler",
      "Models",
      "FineTuning",
      "ModelFiles",
      "Codecs",
      "Tensors",
      "SharedRandomness"
    ),
    tests("TransportTests", "Transport", "WireProtocol", "Telemetry", "Codecs"),
    tests(
      "FederationTests",
      "Datasets",
      "Execution",
      "FineTuning",
      "Tensors",
      "FederatedCore",
      "FederatedAlgorithms",
      "ModelFiles",
      "Reporting",
      "RunLedger",
      "Coordination",
      "Participation",
      "SimulatedFederation",
      "Telemetry",
      "Transport",
      "WireProtocol",
      "Codecs",
      "SharedRandomness"
    ),
    tests("DatasetsTests", "Datasets", "ModelFiles", "Codecs", "SharedRandomness"),
    tests("ReportingTests", "Reporting"),
    tests("CommandLineToolTests", "CommandLineTool", "Codecs"),
    tests("RepositoryTests"),

    // Hostile input: the targets and the replay of their corpora.
    library(
      "Fuzzing",
      path: "Tests/Fuzz/Targets",
      "Datasets",
      "FederatedAlgorithms",
      "FederatedCore",
      "ModelFiles",
      "Transport",
      "WireProtocol",
      "Codecs"
    ),
    tests("FuzzingTests", "Fuzzing"),
  ]
)

// The fuzzer brings its own `main`, so it is built alone, with its sanitizer: scripts/fuzz.
if Context.environment["SAMARA_FUZZ"] == "1" {
  package.targets.append(
    .executableTarget(
      name: "fuzz",
      dependencies: ["Fuzzing"],
      path: "Tests/Fuzz/Main",
      swiftSettings: house + [.unsafeFlags(["-parse-as-library"])]
    )
  )
}
