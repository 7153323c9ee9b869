output "rule_arns" {
  description = "ARN of each rule, by route."
  value = merge(
    { kinesis = aws_iot_topic_rule.kinesis.arn },
    { for rule in aws_iot_topic_rule.archive : "archive" => rule.arn },
  )
}

output "iam_role_names" {
  description = "Names of the IAM roles, by what they are for."
  value = merge(
    { rule_kinesis = aws_iam_role.rule_kinesis.name, rule_errors = aws_iam_role.rule_errors.name },
    { for role in aws_iam_role.rule_archive : "rule_archive" => role.name },
    { for role in aws_iam_role.firehose : "firehose" => role.name },
    { for role in aws_iam_role.pipe : "pipe" => role.name },
  )
}

output "kinesis_stream_arn" {
  description = "ARN of the Kinesis stream."
  value       = aws_kinesis_stream.telemetry.arn
}

output "archive_bucket_name" {
  description = "Bucket of the archive; null if there is none."
  value       = one(aws_s3_bucket.archive[*].bucket)
}

output "event_bus_arn" {
  description = "ARN of the EventBridge bus; null if there is none."
  value       = one(aws_cloudwatch_event_bus.telemetry[*].arn)
}

output "error_log_group_name" {
  description = "Log group of failed rule actions and deliveries."
  value       = aws_cloudwatch_log_group.errors.name
}
