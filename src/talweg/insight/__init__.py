"""Insight: what a run looked like. The report page of a run (`report`), pictures (`plots`), a curve's verdict (`verdict`)."""
