output "thing_type_name" {
  description = "Thing type of the devices."
  value       = aws_iot_thing_type.pm500.name
}

output "thing_group_name" {
  description = "Thing group of the devices."
  value       = aws_iot_thing_group.devices.name
}

output "provisioning_template_name" {
  description = "Template of fleet provisioning."
  value       = aws_iot_provisioning_template.fleet.name
}

output "device_policy_name" {
  description = "AWS IoT policy of a device's certificate."
  value       = aws_iot_policy.device.name
}

output "publisher_policy_arn" {
  description = "IAM policy for Wattwire's aws_iot integration."
  value       = aws_iam_policy.publisher.arn
}

output "device_certificate_arns" {
  description = "ARN of each device's certificate, by thing name."
  value       = { for name in var.devices : name => aws_iot_certificate.issued["devices/${name}"].arn }
}

output "claim_certificate_arns" {
  description = "ARN of each claim certificate, by name."
  value       = { for name in var.claims : name => aws_iot_certificate.issued["claims/${name}"].arn }
}

output "iam_role_names" {
  description = "Names of the IAM roles, by what they are for."
  value       = { provisioning = aws_iam_role.provisioning.name }
}
