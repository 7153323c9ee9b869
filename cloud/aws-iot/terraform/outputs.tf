output "iot_endpoint" {
  description = "Host name that devices connect to (MQTT with TLS on port 8883) and that Wattwire publishes to."
  value       = data.aws_iot_endpoint.data.endpoint_address
}

output "device_certificate_arns" {
  description = "ARN of the certificate of each device of var.devices, by thing name."
  value       = module.iot_core.device_certificate_arns
}

output "claim_certificate_arns" {
  description = "ARN of each claim certificate of var.claims, by name."
  value       = module.iot_core.claim_certificate_arns
}

output "thing_type_name" {
  description = "Thing type of the devices."
  value       = module.iot_core.thing_type_name
}

output "thing_group_name" {
  description = "Thing group of the devices."
  value       = module.iot_core.thing_group_name
}

output "provisioning_template_name" {
  description = "Template that devices with a claim certificate register by."
  value       = module.iot_core.provisioning_template_name
}

output "device_policy_name" {
  description = "AWS IoT policy of a device's certificate."
  value       = module.iot_core.device_policy_name
}

output "publisher_policy_arn" {
  description = "IAM policy for the user or role of Wattwire's aws_iot integration."
  value       = module.iot_core.publisher_policy_arn
}

output "rule_arns" {
  description = "ARN of each AWS IoT rule: kinesis, and archive if it is enabled."
  value       = module.data_routes.rule_arns
}

output "iam_role_names" {
  description = "Name of each IAM role, by what it is for."
  value       = merge(module.iot_core.iam_role_names, module.data_routes.iam_role_names)
}

output "kinesis_stream_arn" {
  description = "ARN of the Kinesis stream."
  value       = module.data_routes.kinesis_stream_arn
}

output "archive_bucket_name" {
  description = "Bucket of the archive; null if it is not enabled."
  value       = module.data_routes.archive_bucket_name
}

output "event_bus_arn" {
  description = "ARN of the EventBridge bus; null if it is not enabled."
  value       = module.data_routes.event_bus_arn
}

output "error_log_group_name" {
  description = "CloudWatch log group that failed rule actions and failed deliveries are reported to."
  value       = module.data_routes.error_log_group_name
}
