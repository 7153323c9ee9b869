# The rules, and where they report what they could not hand on.

resource "aws_iot_topic_rule" "kinesis" {
  name        = local.rule_names.kinesis
  description = "Device data to the Kinesis stream, ordered by device"
  enabled     = true
  sql         = local.sql
  sql_version = "2016-03-23"

  kinesis {
    role_arn    = aws_iam_role.rule_kinesis.arn
    stream_name = aws_kinesis_stream.telemetry.name
    # Filled in by AWS IoT: readings of a device share a shard, and keep their order.
    partition_key = "$${topic(5)}"
  }

  error_action {
    cloudwatch_logs {
      log_group_name = aws_cloudwatch_log_group.errors.name
      role_arn       = aws_iam_role.rule_errors.arn
    }
  }
}

resource "aws_iot_topic_rule" "archive" {
  count = var.archive_enabled ? 1 : 0

  name        = local.rule_names.archive
  description = "Device data to the archive on S3"
  enabled     = true
  sql         = local.sql
  sql_version = "2016-03-23"

  firehose {
    role_arn             = aws_iam_role.rule_archive[0].arn
    delivery_stream_name = aws_kinesis_firehose_delivery_stream.archive[0].name
    # Firehose puts records one behind the other: this makes lines of them.
    separator = "\n"
  }

  error_action {
    cloudwatch_logs {
      log_group_name = aws_cloudwatch_log_group.errors.name
      role_arn       = aws_iam_role.rule_errors.arn
    }
  }
}

resource "aws_cloudwatch_log_group" "errors" {
  name              = "/${replace(var.name, "-", "/")}/routes"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "rule_errors" {
  name               = "${var.name}-rule-errors"
  description        = "AWS IoT reports failed rules as this role"
  assume_role_policy = local.trust.rule_errors
}

resource "aws_iam_role_policy" "rule_errors" {
  name = "write-errors"
  role = aws_iam_role.rule_errors.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      Action = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      # AWS IoT names the log streams itself: all of this group.
      Resource = "${aws_cloudwatch_log_group.errors.arn}:*"
    }]
  })
}
