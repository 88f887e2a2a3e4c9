// Apache-2.0.

/// The dense methods by their names: one algorithm whose settings begin elsewhere.
struct DensePreset: Sendable, Equatable {
  /// What a run file says.
  let name: String
  /// How clients go down.
  var optimizer = "sgd"
  /// μ of the proximal term.
  var proximal = 0.0
  /// What the server does with the mean.
  var server = "average"
  /// Whether unequal steps are made equal.
  var normalizes = false

  /// FedAvg (McMahan et al., 2017).
  static let average = DensePreset(name: "fedavg")
  /// FedProx (Li et al., 2020).
  static let proximal = DensePreset(name: "fedprox", proximal: 0.01)
  /// FedAvgM (Hsu et al., 2019).
  static let momentum = DensePreset(name: "fedavgm", server: "momentum")
  /// FedAdam (Reddi et al., 2021).
  static let adam = DensePreset(name: "fedadam", server: "adam")
  /// FedYogi (Reddi et al., 2021).
  static let yogi = DensePreset(name: "fedyogi", server: "yogi")
  /// Δ-SGD at the clients, FedAvg at the server (Kim et al., 2024).
  static let selfTuned = DensePreset(name: "delta-sgd", optimizer: "delta-sgd")
  /// FedNova (Wang et al., 2020).
  static let normalized = DensePreset(name: "fednova", normalizes: true)

  /// All of them.
  static let all = [average, proximal, momentum, adam, yogi, selfTuned, normalized]
}
