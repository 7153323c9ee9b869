# Device data as events: a pipe takes records off the Kinesis stream and puts them on a bus.

locals {
  pipe_name = "${var.name}-events"
  pipe_arn  = "arn:${var.partition}:pipes:${var.region}:${var.account_id}:pipe/${local.pipe_name}"
}

resource "aws_cloudwatch_event_bus" "telemetry" {
  count = var.events_enabled ? 1 : 0

  name = var.event_bus_name
}

resource "aws_pipes_pipe" "events" {
  count = var.events_enabled ? 1 : 0

  # The role must be complete before the pipe is: it is tried when the pipe starts.
  depends_on = [aws_iam_role_policy.pipe]

  name          = local.pipe_name
  description   = "Device data from the Kinesis stream to the bus"
  role_arn      = aws_iam_role.pipe[0].arn
  source        = aws_kinesis_stream.telemetry.arn
  target        = aws_cloudwatch_event_bus.telemetry[0].arn
  desired_state = "RUNNING"

  source_parameters {
    kinesis_stream_parameters {
      starting_position = "LATEST"
      batch_size        = 10
      # One record that is refused does not hold up the others of its batch.
      on_partial_batch_item_failure = "AUTOMATIC_BISECT"
    }

    dynamic "filter_criteria" {
      for_each = var.event_filter == null ? [] : [var.event_filter]

      content {
        filter {
          pattern = filter_criteria.value
        }
      }
    }
  }

  target_parameters {
    # The record's data, which pipes take out of its base64, as the event's detail.
    input_template = "<$.data>"

    eventbridge_event_bus_parameters {
      source      = "wattwire"
      detail_type = "device.telemetry"
    }
  }
}

resource "aws_iam_role" "pipe" {
  count = var.events_enabled ? 1 : 0

  name               = "${var.name}-pipe"
  description        = "The pipe reads the stream and puts events as this role"
  assume_role_policy = local.trust.pipe
}

resource "aws_iam_role_policy" "pipe" {
  count = var.events_enabled ? 1 : 0

  name = "stream-to-bus"
  role = aws_iam_role.pipe[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Effect = "Allow"
        Action = [
          "kinesis:DescribeStream",
          "kinesis:DescribeStreamSummary",
          "kinesis:GetRecords",
          "kinesis:GetShardIterator",
          "kinesis:ListShards",
        ]
        Resource = aws_kinesis_stream.telemetry.arn
      },
      {
        Effect   = "Allow"
        Action   = ["events:PutEvents"]
        Resource = aws_cloudwatch_event_bus.telemetry[0].arn
      },
    ], local.kms_decrypt)
  })
}

resource "aws_cloudwatch_event_rule" "queue" {
  for_each = var.events_enabled ? var.event_queue_arns : {}

  name           = "${var.name}-${each.key}"
  description    = "Device data to the queue ${each.key}"
  event_bus_name = aws_cloudwatch_event_bus.telemetry[0].name

  event_pattern = jsonencode({
    source        = ["wattwire"]
    "detail-type" = ["device.telemetry"]
  })
}

resource "aws_cloudwatch_event_target" "queue" {
  for_each = var.events_enabled ? var.event_queue_arns : {}

  rule           = aws_cloudwatch_event_rule.queue[each.key].name
  event_bus_name = aws_cloudwatch_event_bus.telemetry[0].name
  target_id      = each.key
  arn            = each.value
}
