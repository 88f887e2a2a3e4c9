// Apache-2.0.
import Coordination
import FederatedCore
import Participation

/// A piece of work.
enum SimulatedJob {
  case train(client: Int, TrainingOrder)
  case evaluate([WeightUpdate])

  /// Expected duration in local steps; nothing but the order depends on it.
  var cost: Int {
    switch self {
    case .train(_, let order): order.task.steps
    case .evaluate: .max
    }
  }
}

/// The place of one thread that works; no other touches it.
protocol WorkSeat: AnyObject {
  /// Does a piece of work.
  ///
  /// - Parameter server: the algorithm as the server holds it, which checks the result here, so that it
  ///   need not when the result arrives.
  func compute(_ job: SimulatedJob, checkedBy server: (any AlgorithmSession)?) -> WorkOutcome
}

/// A seat with a worker of some work.
final class WorkerSeat<Work: SimulatedWork>: WorkSeat {
  private let work: Work
  private var worker: Work.Worker

  init(_ work: Work) throws {
    self.work = work
    worker = try work.makeWorker()
  }

  func compute(_ job: SimulatedJob, checkedBy server: (any AlgorithmSession)?) -> WorkOutcome {
    switch job {
    case .train(let client, let order):
      do {
        let result = try work.train(
          client: client,
          order.task,
          from: order.session,
          memory: order.memory,
          on: &worker
        )
        // What is refused here is refused again where it arrives, in words.
        try? server?.check(result.payload, for: order.task)
        return .trained(.success(result))
      } catch { return .trained(.failure(ParticipationFailure("\(error)"))) }
    case .evaluate(let updates):
      do { return .evaluated(.success(try work.evaluate(updates, on: &worker))) } catch {
        return .evaluated(.failure(PreparationFailure("\(error)")))
      }
    }
  }
}
