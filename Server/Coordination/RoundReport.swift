// Apache-2.0.
public import Codecs
import Telemetry

/// What a round came to.
public struct RoundReport: Sendable, Equatable {
  /// The run.
  public let run: UInt32
  /// Number of the round, from 1.
  public let round: UInt32
  /// Rounds of the run.
  public let rounds: UInt32
  /// Clients that were asked.
  public let sampled: Int
  /// Clients the run knows.
  public let clients: Int
  /// Names of the clients whose contributions count.
  public let contributors: [String]
  /// How many versions late each of these was, in the same order.
  public let ages: [UInt32]
  /// Clients that were asked and failed or were lost.
  public let failures: Int
  /// Mean training loss over the contributors, NaN where none had a finite one.
  public let trainingLoss: Double
  /// Digest of the version that came out.
  public let digest: Digest
  /// From the first task to the fold.
  public let duration: Duration
  /// Held-out score of the version the round began with, where it was evaluated.
  public var before: VersionScore?
  /// Held-out score of the version that came out.
  public var after: VersionScore?

  /// Bytes on the wire a contributor, both ways, with frames and TLS.
  public struct Traffic: Sendable, Equatable {
    /// From a client to the server, mean.
    public let up: Double
    /// From the server to a client, mean.
    public let down: Double

    /// Traffic of a round.
    public init(up: Double, down: Double) {
      self.up = up
      self.down = down
    }
  }

  /// The line of the round: `[ROUND 3/50] sampled 4 of 4, results 4, failures 0, loss 5.1 -> 5.0, …`.
  public func line(_ traffic: Traffic?) -> String {
    var line =
      "[ROUND \(round)/\(rounds)] sampled \(sampled) of \(clients), "
      + "results \(contributors.count), failures \(failures), "
    if let after {
      let first = before.map { "\(decimal($0.loss, 4)) -> " } ?? ""
      line += "loss \(first)\(decimal(after.loss, 4))"
      if let accuracy = after.accuracy { line += ", accuracy \(decimal(accuracy, 4))" }
    } else {
      line += "training loss \(decimal(trainingLoss, 4))"
    }
    if let traffic {
      line += ", up \(Int(traffic.up.rounded())) B, down \(Int(traffic.down.rounded())) B a client"
    }
    let seconds =
      Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    return line + ", \(decimal(seconds, 1)) s"
  }

  /// The round as JSON.
  public func json(_ traffic: Traffic?) -> JSONValue {
    func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
    return .object([
      .init("run", .integer(Int64(run))),
      .init("round", .integer(Int64(round))),
      .init("rounds", .integer(Int64(rounds))),
      .init("sampled", .integer(Int64(sampled))),
      .init("clients", .integer(Int64(clients))),
      .init("results", .integer(Int64(contributors.count))),
      .init("ages", .array(ages.map { .integer(Int64($0)) })),
      .init("failures", .integer(Int64(failures))),
      .init("training_loss", .number(trainingLoss)),
      .init("loss_before", number(before?.loss)),
      .init("loss", number(after?.loss)),
      .init("accuracy", number(after?.accuracy)),
      .init("up_bytes", number(traffic?.up)),
      .init("down_bytes", number(traffic?.down)),
      .init("seconds", .number(Double(duration / .microseconds(1)) * 1e-6)),
      .init("digest", .string(digest.description)),
    ])
  }
}
