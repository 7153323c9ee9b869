# The archive: gzipped JSON lines under site/year/month/day of the time in the message.

locals {
  firehose_arn = "arn:${var.partition}:firehose:${var.region}:${var.account_id}:deliverystream/${var.firehose_stream_name}"

  # jq 1.6, which Firehose runs on each record. The time is in milliseconds, the day is UTC's.
  day = ".timestamp/1000|floor|strftime"
  partition_keys = {
    site  = ".site"
    year  = "${local.day}(\"%Y\")"
    month = "${local.day}(\"%m\")"
    day   = "${local.day}(\"%d\")"
  }

  key_query = "{${join(",", [for name in ["site", "year", "month", "day"] : "${name}:(${local.partition_keys[name]})"])}}"
}

resource "aws_kinesis_firehose_delivery_stream" "archive" {
  count = var.archive_enabled ? 1 : 0

  name        = var.firehose_stream_name
  destination = "extended_s3"

  server_side_encryption {
    enabled  = true
    key_type = var.kms_key_arn == null ? "AWS_OWNED_CMK" : "CUSTOMER_MANAGED_CMK"
    key_arn  = var.kms_key_arn
  }

  extended_s3_configuration {
    role_arn           = aws_iam_role.firehose[0].arn
    bucket_arn         = aws_s3_bucket.archive[0].arn
    compression_format = "GZIP"
    file_extension     = ".jsonl.gz"
    buffering_size     = var.archive_buffer_mib
    buffering_interval = var.archive_buffer_seconds

    prefix = "!{partitionKeyFromQuery:site}/!{partitionKeyFromQuery:year}/!{partitionKeyFromQuery:month}/!{partitionKeyFromQuery:day}/"
    # Records without a site or a time end up here, with the reason, by the day they arrived.
    error_output_prefix = "_errors/!{firehose:error-output-type}/!{timestamp:yyyy}/!{timestamp:MM}/!{timestamp:dd}/"

    dynamic_partitioning_configuration {
      enabled = true
    }

    processing_configuration {
      enabled = true

      processors {
        type = "MetadataExtraction"

        parameters {
          parameter_name  = "MetadataExtractionQuery"
          parameter_value = local.key_query
        }

        parameters {
          parameter_name  = "JsonParsingEngine"
          parameter_value = "JQ-1.6"
        }
      }
    }

    cloudwatch_logging_options {
      enabled         = true
      log_group_name  = aws_cloudwatch_log_group.errors.name
      log_stream_name = aws_cloudwatch_log_stream.archive[0].name
    }
  }
}

resource "aws_cloudwatch_log_stream" "archive" {
  count = var.archive_enabled ? 1 : 0

  name           = "archive"
  log_group_name = aws_cloudwatch_log_group.errors.name
}

resource "aws_iam_role" "rule_archive" {
  count = var.archive_enabled ? 1 : 0

  name               = "${var.name}-rule-archive"
  description        = "AWS IoT hands messages to Firehose as this role"
  assume_role_policy = local.trust.rule_archive
}

resource "aws_iam_role_policy" "rule_archive" {
  count = var.archive_enabled ? 1 : 0

  name = "put-records"
  role = aws_iam_role.rule_archive[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["firehose:PutRecord"]
      Resource = aws_kinesis_firehose_delivery_stream.archive[0].arn
    }]
  })
}

resource "aws_iam_role" "firehose" {
  count = var.archive_enabled ? 1 : 0

  name               = "${var.name}-firehose"
  description        = "Firehose writes the archive as this role"
  assume_role_policy = local.trust.firehose
}

resource "aws_iam_role_policy" "firehose" {
  count = var.archive_enabled ? 1 : 0

  name = "write-archive"
  role = aws_iam_role.firehose[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = aws_s3_bucket.archive[0].arn
      },
      {
        # Keys begin with a site's name, which is known only when a message comes.
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:PutObject"]
        Resource = "${aws_s3_bucket.archive[0].arn}/*"
      },
      {
        Effect   = "Allow"
        Action   = ["logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.errors.arn}:log-stream:${aws_cloudwatch_log_stream.archive[0].name}"
      },
    ], local.kms_encrypt, local.kms_decrypt)
  })
}
