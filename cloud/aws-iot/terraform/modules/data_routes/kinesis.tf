# The stream that consumers read.

resource "aws_kinesis_stream" "telemetry" {
  name             = var.kinesis_stream_name
  shard_count      = var.kinesis_shard_count == 0 ? null : var.kinesis_shard_count
  retention_period = var.kinesis_retention_hours
  encryption_type  = "KMS"
  kms_key_id       = coalesce(var.kms_key_arn, "alias/aws/kinesis")

  stream_mode_details {
    stream_mode = var.kinesis_shard_count == 0 ? "ON_DEMAND" : "PROVISIONED"
  }
}

resource "aws_iam_role" "rule_kinesis" {
  name               = "${var.name}-rule-kinesis"
  description        = "AWS IoT puts records on the Kinesis stream as this role"
  assume_role_policy = local.trust.rule_kinesis
}

resource "aws_iam_role_policy" "rule_kinesis" {
  name = "put-records"
  role = aws_iam_role.rule_kinesis.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Effect   = "Allow"
      Action   = ["kinesis:PutRecord"]
      Resource = aws_kinesis_stream.telemetry.arn
    }], local.kms_encrypt)
  })
}
