// Apache-2.0.
import CommandLineTool
import Datasets
import FederatedCore
import FineTuning
import Glibc
import ModelFiles
import Models
import Participation
import SharedRandomness
import Synchronization
import Telemetry
import Tensors
import Transport
import WireProtocol

/// What concerns this machine and its place in the federation.
extension Check {
  static func processor() -> Check {
    let set = KernelTable.current.instructionSet
    let count = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    let text = "\(count) processors, \(set) kernels"
    guard set == .scalar else { return Check("processor", .ok, text) }
    return Check("processor", .warning, text + ": right, and many times slower than vectors")
  }

  /// Who the client is, and whether its clock agrees.
  static func identity(_ folder: ClientFolder) -> (checks: [Check], identity: ClientIdentity?) {
    let identity: ClientIdentity
    do throws(CommandFailure) {
      identity = try folder.identity()
    } catch {
      return ([Check("identity", .failed, "\(error)")], nil)
    }
    let certificate = identity.certificate
    let now = TimeSource.wall.now
    var checks = [
      Check("identity", .ok, "\(identity.name), key and certificate in \(folder.path)")
    ]
    if now < certificate.validFrom {
      let hours = (certificate.validFrom - now).inSeconds / 3600
      checks.append(
        Check(
          "clock",
          .failed,
          "\(decimal(hours, 1)) hours before the certificate was made: set the clock"
        )
      )
    } else if now >= certificate.validUntil {
      checks.append(
        Check(
          "certificate",
          .failed,
          "past its time: set the clock, or join again with a new token in a new folder"
        )
      )
    } else {
      let renewal = identity.needsRenewal(at: now) ? "; the next connection renews it" : ""
      checks.append(
        Check("certificate", .ok, "valid for \(certificate.daysLeft) more days\(renewal)")
      )
    }
    return (checks, identity)
  }

  /// Whether the server answers; not asked where a client runs, whose place the check would take.
  static func server(_ identity: ClientIdentity, _ folder: ClientFolder) -> Check {
    let lock: FolderLock?
    do throws(CommandFailure) {
      lock = try FolderLock(folder)
    } catch {
      return Check("server", .failed, "\(error)")
    }
    guard let lock else {
      return Check("server", .ok, "not asked: a client runs in this folder and is connected itself")
    }
    let check = attempt("server") { try ServerProbe(identity).answer() }
    _ = consume lock
    return check
  }

  static func disk(_ folder: ClientFolder) -> Check {
    var room = statvfs()
    guard unsafe statvfs(folder.path, &room) == 0 else {
      return Check("disk", .failed, "\(folder.path): \(systemReason())")
    }
    guard unsafe access(folder.path, W_OK) == 0 else {
      return Check("disk", .failed, "\(folder.path) cannot be written to: \(systemReason())")
    }
    let free = Int(clamping: room.f_bavail * UInt(room.f_frsize))
    // States and results of dense methods gather on the disk.
    let isEnough = free >= 64 << 20
    return Check("disk", isEnough ? .ok : .warning, "\(mebibytes(free)) free at \(folder.path)")
  }
}

/// What concerns model and data.
extension Check {
  static func model(_ directory: String) -> (check: Check, model: LoadedModel?) {
    do throws(FineTuningError) {
      var model = try LoadedModel(
        ModelRequest(directory: directory, trainable: ParameterSelection(["*"]))
      )
      if case .hidden = model.head {
        model = try LoadedModel(
          ModelRequest(
            directory: directory,
            head: .classifier(classes: 2),
            trainable: ParameterSelection(["*"])
          )
        )
      }
      let text =
        "\(model.parameterCount) parameters, \(mebibytes(model.mappedBytes)), digest "
        + "\(DigestPrefix(model.checkpoint.digest))"
      return (Check("model", .ok, text), model)
    } catch {
      return (Check("model", .failed, "\(error)"), nil)
    }
  }

  /// Data, and the memory of a step on its longest examples.
  static func data(_ path: String, _ model: LoadedModel, _ arguments: Arguments) -> [Check] {
    let data: ClientData
    do {
      data = try arguments.data(at: path, for: model)
    } catch {
      return [Check("data", .failed, "\(error)")]
    }
    let isWhole = data.dataset.skipped.isEmpty
    let text = "\(path): \(data.dataset.summary)"
    return [Check("data", isWhole ? .ok : .warning, text), memory(model, data, arguments)]
  }

  private static func memory(
    _ model: LoadedModel,
    _ data: ClientData,
    _ arguments: Arguments
  ) -> Check {
    attempt("memory") {
      let longest = data.dataset.examples.sorted { $0.tokens.count > $1.tokens.count }
      let batch = ClientData(
        Dataset(examples: Array(longest.prefix(data.batchSize))),
        batchSize: data.batchSize
      )
      let team = ThreadTeam(threads: try arguments.threads())
      let workspace = try TrainerWorkspace(model, team: team)
      var trainer = ClientTrainer(workspace, data: batch, key: 0)
      let bank = DirectionBank(family: .independent, key: 0, epoch: 0)
      let losses = try trainer.probe(
        Direction(bank: bank, index: 0),
        epsilon: 1e-3,
        at: StepAddress(round: 0, client: 0, step: 0)
      )
      guard losses.plus.isFinite, losses.minus.isFinite else {
        throw CommandFailure("the loss of a step is \(losses.plus): the weights are damaged")
      }
      let text =
        "a step takes \(mebibytes(model.mappedBytes)) mapped + \(mebibytes(workspace.byteCount)) "
        + "weights and plan"
      guard let available = ProcessMemory.available else { return text }
      // The step has just been done: its memory is no longer among what is left.
      guard model.mappedBytes <= available else {
        throw CommandFailure("\(text), and \(mebibytes(available)) are left")
      }
      return "\(text); \(mebibytes(available)) are left beside it"
    }
  }
}
