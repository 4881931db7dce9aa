use crate::{LocalOp, Plan, WaitCondition};

/// A plan as text: one line a step, with what it comes after and why.
pub fn render(plan: &Plan) -> String {
    let mut out = String::new();
    for w in &plan.warnings {
        out.push_str(&format!("warning: {w}\n"));
    }
    if plan.steps.is_empty() {
        out.push_str("nothing to do\n");
    }
    for (i, s) in plan.steps.iter().enumerate() {
        let mut after: Vec<usize> = s.after.iter().chain(&s.after_any).map(|n| n + 1).collect();
        after.sort_unstable();
        after.dedup();
        let after: Vec<String> = after.into_iter().map(|n| n.to_string()).collect();
        let after = if after.is_empty() { String::new() } else { format!(" (after {})", after.join(", ")) };
        out.push_str(&format!("{:>3}  {:<9} {}{after}: {}\n", i + 1, verb(&s.op), s.subject, s.reason));
    }
    out
}

fn verb(op: &LocalOp) -> &'static str {
    match op {
        LocalOp::CreateNetwork { .. } | LocalOp::CreateVolume { .. } | LocalOp::CreateContainer { .. } => {
            "create"
        }
        LocalOp::RemoveNetwork { .. } | LocalOp::RemoveVolume { .. } | LocalOp::RemoveContainer { .. } => {
            "remove"
        }
        LocalOp::StartContainer { .. } => "start",
        LocalOp::WaitFor { condition, .. } => match condition {
            WaitCondition::Healthy => "healthy?",
            WaitCondition::CompletedSuccessfully => "complete?",
            WaitCondition::Started => "started?",
            WaitCondition::Ready => "ready?",
            WaitCondition::Ended => "ended?",
        },
        LocalOp::StopContainer { .. } => "stop",
        LocalOp::KillContainer { .. } => "kill",
        LocalOp::PauseContainer { .. } => "pause",
        LocalOp::UnpauseContainer { .. } => "unpause",
        LocalOp::RenameContainer { .. } => "rename",
    }
}
